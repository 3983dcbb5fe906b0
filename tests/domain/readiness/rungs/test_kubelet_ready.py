"""Rung 0: by the node's conditions alone."""

from __future__ import annotations

from fleet.domain.findings import Status
from fleet.domain.snapshot import Condition
from tests.builders import make_node
from tests.domain.readiness.world import operator


def test_a_ready_kubelet_passes() -> None:
    assert operator().says("kubelet_ready") == Status.PASS


def test_a_kubelet_that_says_no_or_nothing_fails() -> None:
    for status in ("False", "Unknown"):
        world = operator().but(node=make_node(ready=status))
        readiness = world.evaluate_ladder()
        assert (readiness.verdict, readiness.broken_rung) == ("not_ready", "kubelet_ready")
        assert readiness.rungs[0].evidence[0].value.startswith(status)
        assert "kubectl describe node" in readiness.remedy


def test_pressure_warns() -> None:
    conditions = (Condition(type="Ready", status="True"), Condition(type="MemoryPressure", status="True"))
    world = operator()
    world = world.but(node=make_node(conditions=conditions, labels=world.node.labels))
    assert world.says("kubelet_ready") == Status.WARN
    assert (world.evaluate_ladder().verdict, world.evaluate_ladder().broken_rung) == ("degraded", "kubelet_ready")


def test_without_conditions_it_is_unknown() -> None:
    assert operator().but(node=make_node(ready=None)).says("kubelet_ready") == Status.UNKNOWN
