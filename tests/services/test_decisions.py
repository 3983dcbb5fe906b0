"""Waivers, maintenance and declared counts: written with their audit entry, and felt at the next look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.findings import Status
from fleet.domain.health import xids
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot.sections import Outcome
from fleet.models import AuditEntry, Cluster, ExpectedGpus, Node, WaiverRow
from fleet.services import evaluation_history, expected, maintenance, recording, waivers
from fleet.services.recording import record_reading
from tests.factories import a_run
from tests.services.snapshots import T0, a_node, a_snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


def look(cluster: Cluster, *nodes: Any, after_s: float = 0, **fields: Any) -> Node:
    """One full run; the first node's row."""
    snapshot = a_snapshot(*nodes, after_s=after_s, **fields)
    history = xids.watch(snapshot, evaluation_history.load_history(cluster, snapshot))
    recording.record(cluster, snapshot, history, evaluate(snapshot, history))
    record_reading(cluster, snapshot, a_run(cluster, sections=[]))
    cluster.refresh_from_db()
    return Node.objects.get(cluster=cluster, name=nodes[0].name)


def rung(row: Node, name: str) -> dict[str, Any]:
    return next(item for item in row.rungs if item["id"] == name)


def test_a_waiver_is_felt_at_the_next_look_and_again_when_it_is_gone(east: Cluster, operator: Any) -> None:
    assert rung(look(east, a_node("n1")), "cuda_works")["waiver"] is None
    waivers.grant(operator, east, "cuda_works", reason="Tested manually.", now=T0)
    assert rung(look(east, a_node("n1"), after_s=60), "cuda_works")["waiver"]["by"] == "otto"
    assert waivers.withdraw(operator, east, "cuda_works", now=T0)
    assert rung(look(east, a_node("n1"), after_s=120), "cuda_works")["waiver"] is None
    assert not waivers.withdraw(operator, east, "cuda_works", now=T0)
    assert [entry.subject for entry in AuditEntry.objects.all()] == ["cuda_works in east"] * 2


def test_history_costs_as_many_queries_for_many_nodes_as_for_one(east: Cluster) -> None:
    """A column that is read and was not loaded costs a query for each node."""
    costs = []
    for count in (1, 4):
        nodes = [a_node(f"n{number}") for number in range(count)]
        look(east, *nodes, after_s=60 * count)
        snapshot = a_snapshot(*nodes, after_s=60 * count + 30)
        with CaptureQueriesContext(connection) as queries:
            evaluation_history.load_history(east, snapshot)
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_a_second_waiver_replaces_the_first_and_keeps_it_in_the_audit(east: Cluster, operator: Any) -> None:
    waivers.grant(operator, east, "cuda_works", reason="First.", now=T0)
    waivers.grant(operator, east, "cuda_works", reason="Second.", now=T0 + timedelta(minutes=1))
    assert [row.reason for row in WaiverRow.objects.all()] == ["Second."]
    assert AuditEntry.objects.order_by("-at")[0].detail == {
        "before": {"reason": "First.", "by": "otto"},
        "after": {"reason": "Second.", "by": "otto"},
    }


def test_what_cannot_be_decided_leaves_no_trace(east: Cluster, operator: Any) -> None:
    node = look(east, a_node("n1"))
    for refused in (
        lambda: waivers.grant(operator, east, "moon", reason="x", now=T0),
        lambda: waivers.grant(operator, east, "cuda_works", reason="  ", now=T0),
        lambda: waivers.grant(operator, east, "cuda_works", reason="x" * 501, now=T0),
        lambda: maintenance.begin(operator, node, reason="x", until=T0 - timedelta(days=1), now=T0),
        lambda: expected.declare(operator, node, count=-1, reason="x", now=T0),
    ):
        with pytest.raises(FieldError):
            refused()
    assert not AuditEntry.objects.exists()


def test_maintenance_excludes_until_its_end(east: Cluster, operator: Any) -> None:
    node = look(east, a_node("n1"))
    maintenance.begin(operator, node, reason="New fans.", until=T0 + timedelta(seconds=90), now=T0)
    during = look(east, a_node("n1"), after_s=60)
    assert (during.verdict, during.verdict_reason) == ("excluded", "In maintenance: New fans.")
    assert look(east, a_node("n1"), after_s=120).verdict != "excluded"
    assert maintenance.end(operator, node, now=T0)
    assert not maintenance.end(operator, node, now=T0)


def test_a_declared_count_wins_over_the_learned_and_goes_again(east: Cluster, operator: Any) -> None:
    node = look(east, a_node("n1"), a_node("n2", gpus=7))
    assert Node.objects.get(name="n2").expected == 8, "learned from its neighbour of the same machine type"
    expected.declare(operator, Node.objects.get(name="n2"), count=7, reason="Built so.", now=T0)
    look(east, a_node("n1"), a_node("n2", gpus=7), after_s=60)
    row = Node.objects.get(name="n2")
    assert row.expected == 7
    assert rung(row, "gpu_present")["status"] == Status.PASS
    expected.withdraw(operator, row, now=T0)
    look(east, a_node("n1"), a_node("n2", gpus=7), after_s=120)
    assert Node.objects.get(name="n2").expected == 8
    assert node.expected == 8


def test_the_most_particular_declaration_wins(east: Cluster, operator: Any) -> None:
    ExpectedGpus.objects.create(machine_type="p5.48xlarge", count=4, by=operator, at=T0)
    ExpectedGpus.objects.create(cluster=east, machine_type="p5.48xlarge", count=5, by=operator, at=T0)
    assert look(east, a_node("n1")).expected == 5
    ExpectedGpus.objects.create(cluster=east, node_name="n1", count=6, by=operator, at=T0)
    assert look(east, a_node("n1"), after_s=60).expected == 6


def test_what_a_machine_was_ordered_with_is_learned(east: Cluster) -> None:
    ordered = {"karpenter.k8s.aws/instance-gpu-count": "8", "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia"}
    assert look(east, a_node("n1", gpus=7, labels=ordered)).expected == 8


def test_slots_are_not_learned_as_cards_while_the_plugins_configuration_is_unread(east: Cluster) -> None:
    def plain(gpus: int) -> Any:
        node = a_node("n1", gpus=gpus)
        return node.__class__(
            name="n1", uid="u", capacity=node.capacity, allocatable=node.allocatable, conditions=node.conditions
        )

    unread = {"device_plugin_config": Outcome.FORBIDDEN}
    assert look(east, plain(16), broken=unread).expected is None
    assert look(east, plain(16), after_s=60).expected == 16, "now the configuration is known to share nothing"


def test_a_rung_that_was_proved_once_is_remembered_for_the_cluster(east: Cluster) -> None:
    look(east, a_node("n1"))
    assert {"kubelet_ready", "gpu_present"} <= set(east.rungs_proved)
    assert "cuda_works" not in east.rungs_proved
    before = list(east.rungs_proved)
    look(east, a_node("n1", conditions=()), after_s=60)
    assert east.rungs_proved == before
