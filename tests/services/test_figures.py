"""One truth: the fleet's sums now, at this very moment, on the page, and added up from the list of nodes are the same figures."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fleet.domain.snapshot import Condition, NodeSnapshot, PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, CollectionRun, ExpectedGpus, Node, VerdictPeriod
from fleet.selectors import figures as select
from fleet.selectors.fleet import map as fleet_map
from fleet.selectors.fleet import past as fleet_past
from fleet.selectors.nodes import nodes
from tests.absorbing import absorb
from tests.services.snapshots import T0, a_node, a_pod, a_snapshot

pytestmark = pytest.mark.django_db
NAMES = ("n1", "n2", "n3")

node_states = st.fixed_dictionaries(
    {
        "slots": st.sampled_from([0, 4, 7, 8]),
        "allocatable": st.sampled_from([0, 3, 4, 7, 8]),
        "replicas": st.sampled_from([1, 4]),
        "ready": st.sampled_from(["True", "False", None]),
        "cordoned": st.booleans(),
        "labelled": st.booleans(),
        "pods": st.integers(0, 3),
    }
)
steps = st.fixed_dictionaries(
    {
        "minutes": st.sampled_from([1, 2, 20]),
        "nodes": st.dictionaries(st.sampled_from(NAMES), node_states, max_size=3),
        "broken": st.sampled_from([{}, {}, {"nodes": Outcome.TIMEOUT}, {"pods": Outcome.FORBIDDEN}]),
        "declared": st.sampled_from([None, None, 0, 4, 9]),
    }
)


def node_of(name: str, state: dict[str, Any]) -> NodeSnapshot:
    replicas, slots = state["replicas"], state["slots"]
    sharing = {"nvidia.com/gpu.replicas": str(replicas), "nvidia.com/gpu.sharing-strategy": "time-slicing"}
    conditions = (Condition(type="Ready", status=state["ready"]),) if state["ready"] else ()
    node = a_node(
        name,
        labels=sharing if replicas > 1 else {},
        capacity={"nvidia.com/gpu": str(slots * replicas)},
        allocatable={"nvidia.com/gpu": str(min(state["allocatable"], slots) * replicas)},
        conditions=conditions,
        unschedulable=state["cordoned"],
    )
    if state["labelled"]:
        return node
    bare = {"nvidia.com/gpu.present": "true", "node.kubernetes.io/instance-type": "p5.48xlarge"}
    return NodeSnapshot(
        name=name, uid=node.uid, labels=bare, capacity=node.capacity, allocatable=node.allocatable, conditions=conditions,
        unschedulable=state["cordoned"],
    )  # fmt: skip


def record(east: Cluster, step: dict[str, Any], after_min: float) -> datetime:
    """One run, and the moment it was taken."""
    if step["declared"] is not None:
        fields = {"count": step["declared"], "reason": "As built.", "at": T0}
        ExpectedGpus.objects.update_or_create(cluster=east, node_name="n1", machine_type="", product="", defaults=fields)
    seen = [] if "nodes" in step["broken"] else [node_of(name, state) for name, state in step["nodes"].items()]
    pods: list[PodSnapshot] = []
    if "pods" not in step["broken"]:
        pods = [a_pod(f"{node.name}-{i}", node.name) for node in seen for i in range(step["nodes"][node.name]["pods"])]
    snapshot = a_snapshot(*seen, pods=tuple(pods), after_s=60 * after_min, broken=step["broken"])
    east.refresh_from_db()
    absorb(east, snapshot, CollectionRun(cluster=east, started_at=snapshot.taken_at))
    return snapshot.taken_at


def without(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in names}


def total(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def check_now(reader: Client, at: datetime) -> None:
    """Every figure of this moment, by every way there is to it."""
    stamp = {"at": at.isoformat().replace("+00:00", "Z")}
    now = reader.get("/api/v1/fleet/summary/").json()
    then = reader.get("/api/v1/fleet/summary/", stamp).json()
    assert without(then, "as_of") == without(now, "as_of")

    rows = reader.get("/api/v1/nodes/", {"limit": "100"}).json()["results"]
    gpus = [row["gpus"] for row in rows]
    assert now["nodes"]["total"] == len(rows)
    assert {verdict: n for verdict, n in now["nodes"]["by_verdict"].items() if n} == {
        verdict: sum(row["verdict"] == verdict for row in rows) for verdict in {row["verdict"] for row in rows}
    }
    assert now["gpus"]["physical"] == total([item["physical"] for item in gpus])
    if now["gpus"]["expected"] is not None:
        assert now["gpus"]["expected"] == sum(entry["expected"] or 0 for entry in gpus)
        assert now["gpus"]["usable"] == sum(min(result["usable"] or 0, result["expected"] or 0) for result in gpus)
        assert now["gpus"]["advertised"] == sum(min(value["advertised"] or 0, value["expected"] or 0) for value in gpus)
        assert sum(values["count"] for values in now["gpus"]["missing"]) == sum(each["missing"] or 0 for each in gpus)
    for name in ("capacity", "allocatable", "requested"):
        assert now["slots"][name] == total([row["slots"][name] for row in rows])
    usable = [row["slots"]["free"] for row in rows if row["verdict"] in ("ready", "degraded")]
    others = [row["slots"]["free"] for row in rows if row["verdict"] not in ("ready", "degraded")]
    assert (now["slots"]["free"] or 0, now["slots"]["free_unusable"] or 0) == (total(usable) or 0, total(others) or 0)
    assert len(reader.get("/api/v1/nodes/", {"missing": "true"}).json()["results"]) == sum(
        outcome["nodes"] for outcome in now["gpus"]["missing"]
    )

    page = fleet_past.fleet_at(at)
    assert page.figures == select.summary(nodes.nodes().filter(removed_at=None)).figures
    groups = fleet_map.groups(nodes.nodes().filter(removed_at=None), "cluster", at)
    assert sum(group.usable for group in groups) == page.figures.usable
    assert sum(group.expected for group in groups) == page.figures.expected
    for row in rows:
        url = f"/api/v1/nodes/east/{row['name']}/"
        assert without(reader.get(url, stamp).json(), "as_of", "last_seen_at") == without(
            reader.get(url).json(), "as_of", "last_seen_at"
        )


def kept(figures: Any) -> tuple[Any, ...]:
    """What the past keeps of a node's figures."""
    return figures.verdict, figures.physical, figures.expected, figures.usable, figures.advertised, figures.mode, figures.state


@given(st.lists(steps, min_size=1, max_size=5))
@settings(
    max_examples=20,
    phases=(Phase.explicit, Phase.generate),  # a shrunk example takes minutes to find and says little more
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
def test_every_figure_is_the_same_by_every_way_and_stays_so_when_it_is_past(reader: Client, days: list[dict[str, Any]]) -> None:
    Cluster.objects.all().delete()
    ExpectedGpus.objects.all().delete()
    east = Cluster.objects.create(name="east")
    minute, remembered = 0.0, {}
    for step in days:
        minute += step["minutes"]
        at = record(east, step, minute)
        check_now(reader, at)
        present = Node.objects.filter(removed_at=None)
        remembered[at] = {pk: kept(figures) for pk, figures in select.figures_now(present).items()}
    for at, figures in remembered.items():
        then = {pk: kept(figure) for pk, figure in select.figures_at(Node.objects.all(), at).items()}
        assert {pk: then.get(pk) for pk in figures} == figures, at
    for row in VerdictPeriod.objects.exclude(continues_since=None):
        assert row.continues_since is not None
        assert row.continues_since < row.period.lower


def test_four_declared_gpus_are_four_by_every_way(reader: Client) -> None:
    east = Cluster.objects.create(name="east")
    state = {"slots": 8, "allocatable": 8, "replicas": 1, "ready": "True", "cordoned": False, "labelled": True, "pods": 0}
    record(east, {"nodes": {"n1": state}, "broken": {}, "declared": None}, 1)
    at = record(east, {"nodes": {"n1": state}, "broken": {}, "declared": 4}, 2)
    check_now(reader, at)
    gpus = reader.get("/api/v1/nodes/east/n1/").json()["gpus"]
    assert (gpus["physical"], gpus["expected"], gpus["expected_source"]) == (8, 4, "declared")
    assert (VerdictPeriod.objects.get(period__endswith=None).expected, Node.objects.get().most_seen) == (4, 8)
    past = select.figures_at(Node.objects.all(), at - timedelta(seconds=30))
    assert [(item.expected, item.expected_source) for item in past.values()] == [(8, "learned")]


def test_a_figure_that_changes_splits_no_stretch_of_the_verdict(reader: Client) -> None:
    east = Cluster.objects.create(name="east")
    state = {"slots": 8, "allocatable": 8, "replicas": 1, "ready": "True", "cordoned": True, "labelled": True, "pods": 0}
    first = record(east, {"nodes": {"n1": state}, "broken": {}, "declared": None}, 1)
    record(east, {"nodes": {"n1": {**state, "allocatable": 7}}, "broken": {}, "declared": None}, 2)
    assert VerdictPeriod.objects.count() == 2
    assert Node.objects.get().verdict_since == first
    window = {"since": (T0 - timedelta(days=1)).isoformat(), "until": (T0 + timedelta(days=1)).isoformat()}
    verdicts = reader.get("/api/v1/nodes/east/n1/history/", window).json()["verdicts"]
    assert [(verdict["verdict"], verdict["until"]) for verdict in verdicts] == [("excluded", None)]


def test_gpus_declared_while_the_cluster_is_unreachable_are_the_same_now_and_at_this_moment(reader: Client) -> None:
    east = Cluster.objects.create(name="east")
    state = {"slots": 8, "allocatable": 8, "replicas": 1, "ready": "True", "cordoned": False, "labelled": True, "pods": 0}
    record(east, {"nodes": {"n1": state}, "broken": {}, "declared": 4}, 1)
    unreachable = {"nodes": {}, "broken": {"nodes": Outcome.TIMEOUT}}
    before = record(east, {**unreachable, "declared": None}, 21)
    at = record(east, {**unreachable, "declared": 9}, 22)
    check_now(reader, at)
    gpus = reader.get("/api/v1/nodes/east/n1/").json()["gpus"]
    assert (gpus["expected"], gpus["expected_source"], gpus["usable"]) == (9, "declared", 0)
    assert Node.objects.get().verdict_since == T0 + timedelta(minutes=16), "15 minutes after the last answer, not since 9"
    record(east, {"nodes": {"n1": state}, "broken": {}, "declared": 2}, 30)
    past = [next(iter(select.figures_at(Node.objects.all(), moment).values())) for moment in (before, at)]
    assert [(figures.expected, figures.usable, figures.verdict) for figures in past] == [(4, 0, "unknown"), (9, 0, "unknown")]
