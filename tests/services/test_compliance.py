"""Pools and classes against a collected fleet: met, at risk, violated, with violations and history; and each class's room."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from fleet.domain.classes.workload import ClassSpec
from fleet.models import Cluster, CompliancePeriod, FindingRow, Node, Notice, Role, User, VerdictPeriod, WorkloadClass
from fleet.selectors.pools.compliance import observed_availability
from fleet.services import classes, compliance, outbox, pools
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


def a_class(**fields: Any) -> ClassSpec:
    return ClassSpec(**{"slug": "full", "title": "Full H100", "pools": ("h100",), **fields})


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def say_ready() -> None:
    Node.objects.update(verdict="ready")


def judged(kind: str, slug: str, now: datetime) -> tuple[str, list[str]]:
    compliance.evaluate(now)
    row = CompliancePeriod.objects.get(kind=kind, slug=slug, period__endswith__isnull=True)
    return row.state, [violation["text"] for violation in row.violations]


def test_a_class_with_room_in_a_pool_that_keeps_its_policy_is_kept(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"), a_node("n2"))
    say_ready()
    pools.save(otto, a_spec(), at(1))
    classes.save(otto, a_class(gpus=4), at(1))
    assert judged("pool", "h100", at(2)) == ("met", [])
    assert judged("class", "full", at(3)) == ("met", [])
    row = WorkloadClass.objects.get()
    assert (row.headroom["replicas"], row.headroom["pools"][0]["resource"]) == (4, "nvidia.com/gpu")


def test_nodes_whose_verdict_is_unknown_give_no_room(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    Node.objects.update(verdict="unknown")
    pools.save(otto, a_spec(), at(1))
    classes.save(otto, a_class(), at(1))
    state, reasons = judged("class", "full", at(2))
    assert (state, WorkloadClass.objects.get().headroom["replicas"]) == ("violated", 0)
    assert any("ready" in reason for reason in reasons)


def test_a_pool_reconfigured_to_time_slicing_breaks_pool_and_class_from_that_moment(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    say_ready()
    pools.save(otto, a_spec(modes=("full",)), at(1))
    classes.save(otto, a_class(), at(1))
    assert judged("class", "full", at(2))[0] == "met"
    sliced = {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3-SHARED",
        "nvidia.com/gpu.replicas": "4",
        "nvidia.com/gpu.sharing-strategy": "time-slicing",
    }
    node = a_node("n1", labels=sliced, capacity={"nvidia.com/gpu": "32"}, allocatable={"nvidia.com/gpu": "32"})
    look(east, node, after_s=60)
    say_ready()
    assert judged("pool", "h100", at(61))[0] == "violated"
    assert judged("class", "full", at(62))[0] == "violated"
    history = [
        (row.state, row.period.lower, row.period.upper) for row in CompliancePeriod.objects.filter(kind="pool").order_by("id")
    ]
    assert history == [("met", at(2), at(61)), ("violated", at(61), None)]


def test_pods_without_a_gpu_request_are_reported(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    say_ready()
    pools.save(otto, a_spec(), at(1))
    east.refresh_from_db()
    from fleet.models import CollectionRun
    from tests.absorbing import absorb
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
    (observed,) = observed_availability(at(1000)).values()
    assert (observed.percent, observed.seconds) == (pytest.approx(80.0), 500)


def test_a_changed_class_is_a_new_version_and_the_same_one_is_not(otto: User) -> None:
    first = classes.save(otto, a_class(), at(0))
    assert classes.save(otto, a_class(), at(1)) == first
    second = classes.save(otto, a_class(gpus=2), at(2))
    assert (first.number, second.number) == (1, 2)


def test_a_class_is_notified_once_each_way_and_a_nodes_event_names_its_pool(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    say_ready()
    pools.save(otto, a_spec(), at(1))
    compliance.evaluate(at(2))
    compliance.evaluate(at(3))
    assert not Notice.objects.filter(kind="compliance").exists(), (
        "a pool that meets its definition from the start is not an event"
    )
    pools.save(otto, a_spec(min_ready=2), at(4))
    compliance.evaluate(at(5))
    compliance.evaluate(at(6))
    pools.save(otto, a_spec(), at(7))
    compliance.evaluate(at(8))
    rows = [
        (item.title, item.pool, item.severity, item.recovery) for item in Notice.objects.filter(kind="compliance").order_by("at")
    ]
    assert rows == [
        ("Pool h100 is violated", "h100", "critical", False),
        ("Pool h100 meets its definition again", "h100", "critical", True),
    ]
    outbox.add("verdict", "node:1", at(9), "n1 is not ready", node=Node.objects.get())
    assert Notice.objects.get(kind="verdict", at=at(9)).pool == "h100"


def test_findings_of_pools_are_resolved_with_their_cause_and_touch_no_others(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    say_ready()
    a_finding(Node.objects.get(), rule="untainted")
    pools.save(otto, a_spec(min_ready=2), at(1))
    compliance.evaluate(at(2))
    result = FindingRow.objects.get(rule="pool_too_few_ready")
    pools.remove(otto, "h100", at(3))
    compliance.evaluate(at(4))
    result.refresh_from_db()
    assert result.period.upper == at(4)
    assert FindingRow.objects.get(rule="untainted", period__endswith__isnull=True)
    look(east, a_node("n1"), after_s=60)
    result.refresh_from_db()
    assert result.period.upper == at(4), "a run over a cluster leaves what lies in no cluster alone"
