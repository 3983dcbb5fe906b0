"""Rung 1: GPUs are there, as many as expected."""

from __future__ import annotations

import msgspec

from fleet.domain.devices.inputs import Previous
from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.readiness.rungs.gpu_present import RUNG
from tests.builders import NODE, make_allocation, make_node
from tests.domain.readiness.world import World, operator, samples, stack, subject, telemetry


def plain(**fields: object) -> World:
    return World(node=make_node(**fields))  # type: ignore[arg-type]


def test_as_many_as_expected_passes_and_says_by_what() -> None:
    result = operator().rung("gpu_present")
    assert result.status == Status.PASS
    assert ("dcgm", "physical GPUs", "8") in [(item.source, item.key, item.value) for item in result.evidence]


def test_a_lost_card_fails_with_its_number() -> None:
    result = plain(gpus=7).rung("gpu_present")
    assert result.status == Status.FAIL
    assert "1 GPU of 8 is missing" in result.reason


def test_a_declared_number_says_so() -> None:
    world = plain(gpus=7).expecting(8, "declared")
    assert ("declared", "expected GPUs", "8") in [
        (item.source, item.key, item.value) for item in world.rung("gpu_present").evidence
    ]


def test_the_machine_type_of_the_cloud_counts_where_more_was_never_seen() -> None:
    ordered = {"karpenter.k8s.aws/instance-gpu-count": "8", "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia"}
    world = plain(gpus=7, labels=ordered).expecting(7)
    assert world.says("gpu_present") == Status.FAIL
    assert world.expecting(7, "declared").says("gpu_present") == Status.PASS


def test_an_unknown_number_meets_no_expectation() -> None:
    invalid = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3-MIG-INVALID", "nvidia.com/gpu.count": "0"}
    world = plain(labels=invalid, capacity={"nvidia.com/gpu": 0})
    assert world.says("gpu_present") == Status.UNKNOWN


def test_a_lower_bound_proves_nothing_by_being_low() -> None:
    world = plain(gfd=False, mig={"3g.40gb": 2}, capacity={"nvidia.com/gpu": None})
    assert world.says("gpu_present") == Status.UNKNOWN


def test_a_node_that_no_longer_reports_a_gpu_fails_where_some_are_expected() -> None:
    bare = plain(gpus=0)
    assert bare.says("gpu_present") == Status.FAIL
    assert bare.expecting(None).says("gpu_present") == Status.UNKNOWN


def test_resource_slices_count_and_unread_ones_leave_it_unknown() -> None:
    dra = stack("dra")
    assert dra.says("gpu_present") == Status.PASS
    unread = dra.but(broken=("resource_slices",)).rung("gpu_present")
    assert unread.status == Status.UNKNOWN
    assert unread.reason == "Muster may not read resource_slices."


def test_slices_whose_pool_is_named_after_the_node_belong_to_it() -> None:
    dra = stack("dra")
    unnamed = tuple(msgspec.structs.replace(device, node_name="") for device in dra.slices.devices)
    world = dra.but(slices=msgspec.structs.replace(dra.slices, devices=unnamed))
    assert world.says("gpu_present") == Status.PASS
    assert world.says("resources_advertised") == Status.PASS
    held = msgspec.structs.replace(world.snapshot(), allocations=(make_allocation(unnamed[0]),))
    assert evaluate(held).nodes[0].devices.slots.requested == 1


ORDERED_FOUR = {"nvsentinel.dgxc.nvidia.com/gpu.count.expected": "4"}


def test_what_the_machine_was_ordered_with_outweighs_what_others_of_its_type_have() -> None:
    world = plain(gpus=4, labels=ORDERED_FOUR)
    assert world.says("gpu_present") == Status.PASS
    assert world.expecting(None).says("gpu_present") == Status.PASS
    assert world.expecting(8, "declared").says("gpu_present") == Status.FAIL
    lost = plain(gpus=3, labels=ORDERED_FOUR).rung("gpu_present")
    assert (lost.status, "1 GPU of 4 is missing" in lost.reason) == (Status.FAIL, True)
    assert ("ordered", "expected GPUs", "4") in [(item.source, item.key, item.value) for item in lost.evidence]


def test_what_was_seen_on_the_node_itself_outweighs_what_it_was_ordered_with() -> None:
    world = plain(gpus=4, labels=ORDERED_FOUR)
    assert world.remembering(previous=Previous(physical=8)).says("gpu_present") == Status.FAIL
    assert world.remembering(previous=Previous(physical=4)).says("gpu_present") == Status.PASS
    named = tuple(f"GPU-{NODE}-{number:04d}" for number in range(8))
    half = world.but(telemetry=telemetry(samples(4))).remembering(known_uuids=named)
    history = ClusterHistory(nodes={half.node.uid: half.history})
    (lost,) = [result for result in evaluate(half.snapshot(), history).nodes[0].results if result.rule == "gpu_lost"]
    assert len(lost.findings) == 4


def test_a_gpu_that_health_says_is_lost_is_not_called_present() -> None:
    finding = Finding(
        rule="gpu_lost", severity=Severity.FATAL, text="Lost.", key="GPU-5", evidence=(Evidence("dcgm", "GPU-5", "no"),)
    )
    lost = RuleResult(rule="gpu_lost", status=Status.FAIL, findings=(finding,))
    result = RUNG.check(subject(operator()), [lost])
    assert result.status == Status.WARN
    assert result.reason == "8 GPUs by dcgm, but 1 of them no longer reported."
    assert ("dcgm", "GPU-5") in [(item.source, item.key) for item in result.evidence]
    assert RUNG.check(subject(operator()), []).status == Status.PASS
