"""No text, number or list of a cluster can stop its recording: every field of every struct of a snapshot is made hostile."""

from __future__ import annotations

import functools
import types
import typing
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import msgspec
import pytest
from django.db import DataError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fleet.collectors.bounds import bound_snapshot
from fleet.domain.snapshot import ClusterSnapshot, Condition, NodeSnapshot, ObjectProblem
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, Telemetry
from fleet.models import Cluster, CollectionRun, DeviceTelemetry, FindingRow, Node, Pod, RunOutcome
from fleet.services import recording
from tests.absorbing import absorb
from tests.services.snapshots import T0, a_node, a_pod, a_snapshot

pytestmark = pytest.mark.django_db

HOSTILE = st.sampled_from(
    [
        *(
            "",
            " ",
            "0",
            "-1",
            "9" * 400,
            "1e99",
            "9E",
            "NaN",
            "inf",
            "\x00",
            "\x1b[31m",
            "\u202eevil",
            "é" * 300,
            "💥" * 300,
            "\ud800",
        ),
        *(
            "x" * 104,
            "x" * 254,
            "x" * 100_000,
            "a/b",
            "../../../secrets/x",
            "'; DROP TABLE fleet_node; --",
            "<script>alert(1)</script>",
        ),
        *(
            "n1",
            "n2",
            "nvidia.com/gpu",
            "nvidia.com/mig-1g.10gb",
            "nvidia.com/gpu.shared",
            "true",
            "false",
            "MIG-1g.5gb",
            "2001-13-45",
        ),
    ]
)
NUMBERS = st.sampled_from([0, 1, -1, 7, 2**31, 2**63, 10**30, -(10**30)])
FLOATS = st.sampled_from([0.0, 1.0, -1e300, 1e300, float("nan"), float("inf"), float("-inf"), 101.0])
TIMES = st.sampled_from([T0, T0 - timedelta(days=9_000), T0 + timedelta(days=9_000), datetime(1970, 1, 1, tzinfo=UTC)])
NAMES = st.sampled_from(["n1", "n2"])


def values_of(kind: Any, field: str) -> st.SearchStrategy[Any]:
    """Hostile values of a type as a snapshot's structs declare it."""
    if kind is str:
        return NAMES if field == "node_name" else HOSTILE
    if kind is int:
        return NUMBERS
    if kind is float:
        return FLOATS
    if kind is bool:
        return st.booleans()
    if kind is datetime:
        return TIMES
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return struct_of(kind)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([st.none() if part is type(None) else values_of(part, field) for part in parts])
    if origin is tuple:
        return st.lists(values_of(parts[0], field), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(HOSTILE, values_of(parts[1], field), max_size=4)
    raise NotImplementedError(kind)


@functools.cache
def struct_of(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    def build() -> st.SearchStrategy[Any]:
        hints = typing.get_type_hints(struct)
        names = [name for name in struct.__struct_fields__ if name != "scheduling"]
        return st.builds(struct, **{name: values_of(hints[name], name) for name in names})

    return st.deferred(build)


SKIPPED = {"name", "taken_at", "sections", "remembered", "problems", "nodes", "scheduling"}
PARTS = {name: values_of(hint, name) for name, hint in typing.get_type_hints(ClusterSnapshot).items() if name not in SKIPPED}


@st.composite
def hostile_snapshots(draw: st.DrawFn) -> ClusterSnapshot:
    """Two nodes with names and UIDs that the collector lets through, everything else hostile."""
    nodes = tuple(
        msgspec.structs.replace(
            draw(struct_of(NodeSnapshot)),
            name=name,
            uid=f"uid-{name}",
            capacity={"nvidia.com/gpu": draw(HOSTILE), **draw(st.dictionaries(HOSTILE, HOSTILE, max_size=3))},
        )
        for name in ("n1", "n2")
    )
    parts = {name: draw(strategy) for name, strategy in PARTS.items() if draw(st.booleans())}
    return bound_snapshot(msgspec.structs.replace(a_snapshot(*nodes), **parts))


def record(snapshot: ClusterSnapshot) -> CollectionRun:
    cluster = Cluster.objects.get_or_create(name="east")[0]
    cluster.refresh_from_db()
    run = CollectionRun(cluster=cluster, started_at=snapshot.taken_at)
    absorb(cluster, snapshot, run)
    return run


@given(hostile_snapshots(), hostile_snapshots())
@settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],  # shrinking such snapshots takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_struct_with_hostile_values_is_recorded_without_leaving_a_node_out(
    first: ClusterSnapshot, second: ClusterSnapshot
) -> None:
    Cluster.objects.all().delete()
    for minutes, snapshot in enumerate((first, second)):
        run = record(msgspec.structs.replace(snapshot, taken_at=T0 + timedelta(minutes=minutes)))
        assert run.outcome == RunOutcome.OK, run.error
        assert set(Node.objects.filter(removed_at__isnull=True).values_list("name", flat=True)) == {"n1", "n2"}


def test_a_tenants_pod_that_answers_as_the_exporter_costs_no_node() -> None:
    uuid = "GPU-" + "f" * 100
    samples = (DeviceSample(node_name="n1", uuid=uuid, at=T0, values={"gpu_util": 5.0}),)
    exporters = (ExporterReport(node_name="n1", namespace="tenant", pod="fake", outcome=Outcome.COLLECTED, at=T0),)
    run = record(
        bound_snapshot(a_snapshot(a_node("n1"), a_node("n2"), telemetry=Telemetry(samples=samples, exporters=exporters)))
    )
    assert run.outcome == RunOutcome.OK
    assert DeviceTelemetry.objects.get().uuid == uuid


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of nodes and pods that the database refuses from now on."""
    refused: set[str] = set()
    real = recording.record

    def record(cluster: Any, snapshot: ClusterSnapshot, history: Any, evaluation: Any) -> Any:
        sent = {node.node.name for node in evaluation.nodes} | {pod.name for pod in snapshot.pods}
        if sent & refused:
            raise DataError("value too long for type character varying(80)")
        return real(cluster, snapshot, history, evaluation)

    monkeypatch.setattr(recording, "record", record)
    return refused


def test_a_node_that_cannot_be_recorded_is_a_finding_and_the_others_are_recorded(refusing: set[str]) -> None:
    refusing.add("n3")
    run = record(a_snapshot(*(a_node(f"n{i}") for i in range(8))))
    assert sorted(Node.objects.values_list("name", flat=True)) == [f"n{i}" for i in range(8) if i != 3]
    assert run.outcome == RunOutcome.OK
    finding = FindingRow.objects.get(rule="objects_left_out")
    assert (finding.key, finding.node) == ("node:n3", None)
    assert "could not be recorded (DataError)" in finding.text


def test_a_node_that_was_recorded_before_keeps_its_last_known_state(refusing: set[str]) -> None:
    record(a_snapshot(a_node("n1"), a_node("n2"), pods=(a_pod("p2", "n2"),)))
    refusing.add("p-new")
    run = record(a_snapshot(a_node("n1"), a_node("n2"), pods=(a_pod("p2", "n2"), a_pod("p-new", "n2")), after_s=60))
    assert run.outcome == RunOutcome.PARTIAL
    assert run.error == "1 object could not be recorded: node n2."
    assert set(Node.objects.filter(removed_at__isnull=True).values_list("name", flat=True)) == {"n1", "n2"}
    assert Pod.objects.get().removed_at is None


def test_a_pod_without_a_node_that_cannot_be_recorded_costs_no_node(refusing: set[str]) -> None:
    refusing.add("waiting")
    record(a_snapshot(a_node("n1"), pods=(a_pod("waiting", ""), a_pod("p1", "n1"))))
    assert (Node.objects.get().name, Pod.objects.get().name) == ("n1", "p1")
    assert FindingRow.objects.get(rule="objects_left_out").key == "pod:uid-waiting"


def test_what_no_object_is_to_blame_for_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise DataError("broken")

    monkeypatch.setattr(recording, "record", refuse)
    with pytest.raises(DataError):
        record(a_snapshot(a_node("n1")))
    assert not Node.objects.exists()


def test_a_refused_name_is_a_finding_until_it_is_no_longer_sent() -> None:
    problem = ObjectProblem("node", "a/b", "Its name is not one that Kubernetes accepts, so it was left out.")
    record(a_snapshot(a_node("n1"), problems=(problem,)))
    assert FindingRow.objects.get(rule="objects_left_out").period.upper is None
    record(a_snapshot(a_node("n1"), after_s=60))
    assert FindingRow.objects.get(rule="objects_left_out").period.upper == T0 + timedelta(seconds=60)


def test_a_message_of_any_length_is_kept_cut() -> None:
    node = a_node("n1", conditions=(Condition(type="Ready", status="False", message="m" * 10**6),))
    assert record(bound_snapshot(a_snapshot(node))).outcome == RunOutcome.OK
    assert len(Node.objects.get().conditions[0]["message"]) == 2_000
