"""Pods that wait: one reason each, the change that frees most, and a bounded number of evaluations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.domain.placement import pending
from fleet.domain.placement.pending import age_range, explain_waiting, freeing_changes, is_waiting
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot, Taint
from tests.domain.placement.scheduler.test_evaluate import node
from tests.domain.placement.test_explain import GPU, TAINT, asking, view


def full(name: str) -> NodeSnapshot:
    return replace(node(name), allocatable={**node(name).allocatable, GPU: "2"})


def ask(nodes: list[NodeSnapshot], *pods: PodSnapshot) -> list[pending.Waiting]:
    return explain_waiting([("east", pod) for pod in pods], [view(nodes)])


def test_the_reason_is_the_one_that_the_best_change_removes() -> None:
    tainted = [replace(node(f"t{number}"), taints=(TAINT,)) for number in range(2)]
    (row,) = ask([*tainted, full("f")], asking(4))
    assert (row.reason.id, row.reason.text) == ("taint", "Taint dedicated=inference:NoSchedule is not tolerated.")
    assert row.change is not None
    assert row.change.opens == 2


def test_without_a_change_it_is_the_check_that_came_nearest() -> None:
    # nothing is free at all on the node that passes every other check
    cordoned = replace(node("c"), unschedulable=True)
    none_free = replace(node("n"), allocatable={**node("n").allocatable, GPU: "0"})
    (row,) = ask([cordoned, none_free], asking(4))
    assert row.reason.id == "resources"
    assert row.change is None


@pytest.mark.parametrize(
    ("spec", "id_"),
    [
        ({"schedulingGates": [{"name": "quota"}]}, "gate"),
        ({"runtimeClassName": "kata"}, "admission"),
        ({}, "fits"),
    ],
)
def test_a_pod_that_no_node_refuses(spec: dict[str, Any], id_: str) -> None:
    (row,) = ask([node("n")], asking(1, **spec))
    assert row.reason.id == id_
    assert row.change is None


def test_an_unknown_pod_is_unknown_and_never_fits() -> None:
    (row,) = ask([node("n")], replace(asking(1), scheduling=None))
    assert row.reason.id == "unknown"
    assert "not read yet" in row.reason.text


def test_the_change_that_frees_most_pods_comes_first() -> None:
    nodes = [replace(node("a"), taints=(TAINT,)), replace(node("b"), taints=(Taint("x", "", "NoSchedule"),))]
    nodes = [nodes[0], replace(nodes[1], labels={**nodes[1].labels, "team": "b"})]
    both = [asking(1), asking(2)]
    only_b = asking(1, nodeSelector={"team": "b"})
    changes = freeing_changes(ask(nodes, *both, only_b))
    assert [(change.title, change.pods) for change in changes] == [
        ("Tolerating x:NoSchedule", 3),
        ("Tolerating dedicated=inference:NoSchedule", 2),
    ]
    assert "key: x\n" in changes[0].patch


def test_equal_pods_are_evaluated_once_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "MOST_EVALUATIONS", 2)
    rows = ask(
        [node("a"), node("b")], asking(9), *(replace(asking(1), uid=str(number), name=f"p{number}") for number in range(3))
    )
    assert [row.reason.id for row in rows] == ["not_evaluated", "fits", "fits", "fits"], "the many before the one"
    assert rows[0].explanation is None


def test_a_cluster_without_known_nodes() -> None:
    (row,) = explain_waiting([("west", asking(1))], [view([node("n")])])
    assert row.reason.id == "no_nodes"


def test_only_pods_that_want_gpus_and_have_no_node_wait() -> None:
    wants = asking(1)
    assert is_waiting(wants)
    assert not is_waiting(replace(wants, node_name="n"))
    assert not is_waiting(replace(wants, phase="Succeeded"))
    assert not is_waiting(replace(asking(0), containers=(), scheduling=None))


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(0, "under 5 min"), (299, "under 5 min"), (300, "5 min to 1 h"), (3600, "1 h to 1 day"), (86_400, "over 1 day")],
)
def test_ranges_begin_exactly_at_their_start(seconds: int, name: str) -> None:
    assert age_range(timedelta(seconds=seconds)) == name
    assert age_range(None) == "unknown"
