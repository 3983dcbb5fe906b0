"""Pools and classes against a fleet that was read: kept, at risk, broken, with reasons and history; and each class's room."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from fleet.domain.classes.workload import WorkloadClass as Promise
from fleet.models import Cluster, FindingRow, Node, Notice, PromisePeriod, Role, User, VerdictPeriod, WorkloadClass
from fleet.selectors.promises import ready_percents
from fleet.services import classes, notices, pools, promises
from tests.factories import a_finding, a_user
from tests.services.snapshots import T0, a_node, a_pod
from tests.services.test_pools import a_spec, look

pytestmark = pytest.mark.django_db


@pytest.fixture
def otto() -> User:
    return a_user("otto", Role.OPERATOR)


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


def a_promise(**fields: Any) -> Promise:
    return Promise(**{"slug": "full", "title": "Full H100", "pools": ("h100",), **fields})


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def say_ready() -> None:
    Node.objects.update(verdict="ready")


def judged(kind: str, slug: str, now: datetime) -> tuple[str, list[str]]:
    promises.judge(now)
    row = PromisePeriod.objects.get(kind=kind, slug=slug, period__endswith__isnull=True)
    return row.state, row.reasons


def test_a_class_with_room_in_a_pool_that_keeps_its_policy_is_kept(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"), a_node("n2"))
    say_ready()
    pools.save(otto, a_spec(), at(1))
    classes.save(otto, a_promise(gpus=4), at(1))
    assert judged("pool", "h100", at(2)) == ("kept", [])
    assert judged("class", "full", at(3)) == ("kept", [])
    row = WorkloadClass.objects.get()
    assert (row.headroom["replicas"], row.headroom["pools"][0]["resource"]) == (4, "nvidia.com/gpu")


def test_nodes_whose_verdict_is_unknown_give_no_room(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    Node.objects.update(verdict="unknown")
    pools.save(otto, a_spec(), at(1))
    classes.save(otto, a_promise(), at(1))
    state, reasons = judged("class", "full", at(2))
    assert (state, WorkloadClass.objects.get().headroom["replicas"]) == ("broken", 0)
    assert any("ready" in reason for reason in reasons)


def test_a_pool_reconfigured_to_time_slicing_breaks_pool_and_class_from_that_moment(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    say_ready()
    pools.save(otto, a_spec(modes=("full",)), at(1))
    classes.save(otto, a_promise(), at(1))
    assert judged("class", "full", at(2))[0] == "kept"
    sliced = {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3-SHARED",
        "nvidia.com/gpu.replicas": "4",
        "nvidia.com/gpu.sharing-strategy": "time-slicing",
    }
    node = a_node("n1", labels=sliced, capacity={"nvidia.com/gpu": "32"}, allocatable={"nvidia.com/gpu": "32"})
    look(east, node, after_s=60)
    say_ready()
    assert judged("pool", "h100", at(61))[0] == "broken"
    assert judged("class", "full", at(62))[0] == "broken"
    history = [
        (row.state, row.period.lower, row.period.upper) for row in PromisePeriod.objects.filter(kind="pool").order_by("id")
    ]
    assert history == [("kept", at(2), at(61)), ("broken", at(61), None)]


def test_pods_that_ask_for_no_gpu_are_told_of(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    say_ready()
    pools.save(otto, a_spec(), at(1))
    east.refresh_from_db()
    from fleet.models import CollectionRun
    from fleet.services.collection import absorb
    from tests.services.snapshots import a_snapshot

    seen = a_snapshot(a_node("n1"), pods=(a_pod("squatter", "n1", gpus=0, owner_kind="ReplicaSet"),), after_s=60)
    absorb(east, seen, CollectionRun(cluster=east, started_at=seen.taken_at))
    say_ready()
    state, reasons = judged("pool", "h100", at(61))
    assert state == "at_risk"
    assert "inference/squatter" in reasons[0]


def test_percent_ready_counts_members_for_the_time_they_were_members_and_no_unknown_time(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    node = Node.objects.get()
    VerdictPeriod.objects.filter(node=node).delete()
    pools.save(otto, a_spec(), at(100))
    for begins, ends, verdict in ((0, 200, "not_ready"), (200, 500, "ready"), (500, 900, "unknown"), (900, None, "degraded")):
        upper = None if ends is None else at(ends)
        VerdictPeriod.objects.create(node=node, period=DateTimeTZRange(at(begins), upper), verdict=verdict)
    # a member from 100 on: 100 s not ready, 300 s ready, 400 s unknown, 100 s degraded
    assert ready_percents(at(0), at(1000)) == {"h100": pytest.approx(80.0)}


def test_a_changed_class_is_a_new_version_and_the_same_one_is_not(otto: User) -> None:
    first = classes.save(otto, a_promise(), at(0))
    assert classes.save(otto, a_promise(), at(1)) == first
    second = classes.save(otto, a_promise(gpus=2), at(2))
    assert (first.number, second.number) == (1, 2)


def test_a_promise_that_turns_is_told_once_each_way_and_a_node_s_news_name_its_pool(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    say_ready()
    pools.save(otto, a_spec(), at(1))
    promises.judge(at(2))
    promises.judge(at(3))
    assert not Notice.objects.filter(kind="promise").exists(), "a promise that is kept from the start is no news"
    pools.save(otto, a_spec(min_ready=2), at(4))
    promises.judge(at(5))
    promises.judge(at(6))
    pools.save(otto, a_spec(), at(7))
    promises.judge(at(8))
    told = [(one.title, one.pool, one.severity, one.recovery) for one in Notice.objects.filter(kind="promise").order_by("at")]
    assert told == [
        ("Pool h100 is broken", "h100", "critical", False),
        ("Pool h100 keeps its promise again", "h100", "critical", True),
    ]
    notices.add("verdict", "node:1", at(9), "n1 is not ready", node=Node.objects.get())
    assert Notice.objects.get(kind="verdict", at=at(9)).pool == "h100"


def test_findings_of_pools_are_resolved_with_their_cause_and_touch_no_others(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    say_ready()
    a_finding(Node.objects.get(), rule="untainted")
    pools.save(otto, a_spec(min_ready=2), at(1))
    promises.judge(at(2))
    found = FindingRow.objects.get(rule="pool_too_few_ready")
    pools.remove(otto, "h100", at(3))
    promises.judge(at(4))
    found.refresh_from_db()
    assert found.period.upper == at(4)
    assert FindingRow.objects.get(rule="untainted", period__endswith__isnull=True)
    look(east, a_node("n1"), after_s=60)
    found.refresh_from_db()
    assert found.period.upper == at(4), "a pass over a cluster leaves what lies in no cluster alone"
