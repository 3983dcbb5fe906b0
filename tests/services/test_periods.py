"""Verdict and rung periods of nodes that are read: where one ends, the next begins."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.domain.snapshot import Condition
from fleet.models import Cluster, Node, RungPeriod, VerdictPeriod
from fleet.services import evaluation_history
from tests.services import period_runs
from tests.services.period_runs import minute, rungs, spans
from tests.services.snapshots import a_node, a_snapshot

pytestmark = pytest.mark.django_db


def test_a_verdict_that_changes_ends_its_period_where_the_next_begins(see: Any) -> None:
    see(0, n1="ready")
    see(1, n1="ready")
    see(2, n1=("not_ready", "cuda_works"))
    see(3, n1="ready")
    assert spans() == [(0, 2, "ready"), (2, 3, "not_ready"), (3, None, "ready")]
    assert rungs() == [(0, 2, "pass"), (2, 3, "fail"), (3, None, "pass")]


def test_a_node_that_comes_up_rung_by_rung_does_not_flap(see: Any, east: Cluster) -> None:
    """Each rung is a period of its own; the verdict changed once."""
    for minute_, rung in enumerate(("driver_loaded", "container_runtime", "cuda_works", "resources_advertised")):
        see(minute_, n1=("starting", rung))
    see(4, n1="ready")
    see(5, n1="not_ready")
    assert len(spans()) == 6
    east.refresh_from_db()
    uid = Node.objects.get().uid
    assert evaluation_history.load_history(east, a_snapshot(after_s=360)).of(uid).recent_changes == 2
    assert evaluation_history.load_history(east, a_snapshot(after_s=65 * 60)).of(uid).recent_changes == 0


def test_another_rung_is_another_period_and_another_reason_is_not(see: Any) -> None:
    see(0, n1=("not_ready", "driver_loaded", "It fails."))
    see(1, n1=("not_ready", "driver_loaded", "It fails differently."))
    see(2, n1=("not_ready", "cuda_works", "It fails."))
    assert spans() == [(0, 2, "not_ready"), (2, None, "not_ready")]
    assert VerdictPeriod.objects.order_by("period").first().reason == "It fails differently."  # type: ignore[union-attr]
    assert rungs() == [(0, None, "fail")]
    assert RungPeriod.objects.get().reason == "It fails."


def test_unchanged_nodes_cost_nothing_and_many_changes_few_statements(see: Any) -> None:
    result = {f"n{number}": "ready" for number in range(12)}
    see(0, **result)
    with CaptureQueriesContext(connection) as quiet:
        assert see(1, **result) == 0
    assert not [q["sql"] for q in quiet if "period" in q["sql"] and q["sql"].startswith(("UPDATE", "INSERT"))]
    with CaptureQueriesContext(connection) as value:
        see(2, **{**result, "n0": "not_ready"})
    with CaptureQueriesContext(connection) as many:
        see(3, **dict.fromkeys(result, "not_ready"))
    assert len(many) == len(value), "the number of statements does not grow with the nodes"


def test_a_removed_node_ends_and_a_returning_one_begins_again(see: Any) -> None:
    see(0, n1="ready", n2="ready")
    see(1, n2="ready")
    see(5, n1="ready", n2="ready")
    assert spans() == [(0, 1, "ready"), (5, None, "ready")]
    assert rungs() == [(0, 1, "pass"), (5, None, "pass")]
    assert spans("n2") == [(0, None, "ready")]


def joins(see: Any, monkeypatch: pytest.MonkeyPatch, after_min: float, ready_at: float, verdict: str) -> None:
    condition = Condition(type="Ready", status="True", last_transition_at=minute(ready_at))
    monkeypatch.setattr(period_runs, "a_node", lambda name: a_node(name, conditions=(condition,)))
    see(after_min, n1="ready", n2=verdict)


def test_bootstrap_runs_from_kubelet_ready_to_the_first_good_verdict(see: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    see(0, n1="ready")
    joins(see, monkeypatch, 5, 4.5, "starting")
    joins(see, monkeypatch, 6, 4.5, "not_ready")
    joins(see, monkeypatch, 9, 4.5, "ready")
    joins(see, monkeypatch, 10, 9.5, "not_ready")
    joins(see, monkeypatch, 11, 9.5, "ready")
    node = Node.objects.get(name="n2")
    assert (node.kubelet_ready_at, node.gpu_ready_at) == (minute(4.5), minute(9))


def test_an_unobserved_join_has_no_bootstrap_time(see: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    see(0, n1="ready")
    joins(see, monkeypatch, 60, 30, "ready")
    assert list(Node.objects.values_list("kubelet_ready_at", "gpu_ready_at")) == [(None, None)] * 2
