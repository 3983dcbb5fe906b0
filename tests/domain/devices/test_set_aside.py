"""GPUs that an administrator sets aside by a DeviceTaintRule: fewer usable GPUs, and no fault of the node."""

from __future__ import annotations

import pytest

from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.findings import Severity, Status
from fleet.domain.snapshot import Taint
from fleet.domain.snapshot.dra import DeviceTaintRule, ResourceSlices
from tests.builders import make_dra_device
from tests.domain.readiness.world import World, stack

INSPECTION = Taint("example.com/inspection", "fan", "NoSchedule")
LOST = Taint("gpu.nvidia.com/xid", "79", "NoSchedule")


def rule(name: str = "inspect", **fields: str) -> DeviceTaintRule:
    return DeviceTaintRule(name=name, taint=INSPECTION, **fields)


def world(*rules: DeviceTaintRule, lost: tuple[int, ...] = (), broken: tuple[str, ...] = ()) -> World:
    """A DRA node with eight GPUs, of which the driver itself taints `lost`."""
    devices = tuple(make_dra_device(number, taints=(LOST,) if number in lost else ()) for number in range(8))
    return stack("dra").but(slices=ResourceSlices(devices=devices), taint_rules=rules, broken=broken)


ONE = rule(device="gpu-7")
EVERY = rule(driver="gpu.nvidia.com")


@pytest.mark.parametrize(
    ("state", "status", "verdict", "words"),
    [
        (world(), Status.PASS, "ready", "8 slots allocatable"),
        (
            world(ONE),
            Status.WARN,
            "degraded",
            "1 of 8 slots set aside by DeviceTaintRule inspect (gpu.nvidia.com). The node serves",
        ),
        (
            world(ONE, rule("fan", device="gpu-6")),
            Status.WARN,
            "degraded",
            "2 of 8 slots set aside by DeviceTaintRules fan, inspect",
        ),
        # the driver's own taint is a fault, on the same GPU or on another
        (world(lost=(7,)), Status.FAIL, "not_ready", "kept from the scheduler by a device taint"),
        (world(ONE, lost=(7,)), Status.FAIL, "not_ready", "kept from the scheduler by a device taint"),
        (world(ONE, lost=(6,)), Status.FAIL, "not_ready", "2 of 8 slots not allocatable"),
        # nothing is left to serve with
        (world(EVERY), Status.FAIL, "not_ready", "every device is kept from the scheduler by DeviceTaintRule inspect"),
        # effect None keeps nothing back
        (world(DeviceTaintRule(name="note", taint=Taint("a", "", "None"), device="gpu-7")), Status.PASS, "ready", "8 slots"),
    ],
)
def test_the_others_still_serve(state: World, status: Status, verdict: str, words: str) -> None:
    readiness = state.evaluate_ladder()
    result = state.rung("resources_advertised")
    assert (result.status, readiness.verdict) == (status, verdict)
    assert words in result.reason


def test_fewer_gpus_are_usable() -> None:
    state = world(ONE)
    (evaluation,) = evaluate(state.snapshot(), state.cluster).nodes
    assert (evaluation.devices.physical, evaluation.devices.advertised_gpus, evaluation.devices.advertised) == (8, 7, "partial")
    (finding,) = [item for item in evaluation.devices.findings if item.rule == "slots_set_aside"]
    assert finding.severity is Severity.WARNING
    assert not [item for item in evaluation.devices.findings if item.severity is Severity.CRITICAL]


def test_a_gpu_that_is_missing_besides_is_a_fault() -> None:
    devices = tuple(make_dra_device(number) for number in range(7))
    state = world(rule(device="gpu-6")).but(slices=ResourceSlices(devices=devices))
    assert state.evaluate_ladder().verdict == "not_ready"
