"""Rung 1: GPUs are there, as many as expected."""

from __future__ import annotations

import msgspec

from fleet.domain.findings import Status
from fleet.domain.judgement import judge
from fleet.domain.reading import Previous
from fleet.domain.subject import ClusterMemory
from tests.builders import NODE, make_allocation, make_node
from tests.domain.readiness.world import World, operator, samples, stack, telemetry


def plain(**fields: object) -> World:
    return World(node=make_node(**fields))  # type: ignore[arg-type]


def test_as_many_as_expected_passes_and_says_by_what() -> None:
    result = operator().rung("gpu_present")
    assert result.status == Status.PASS
    assert ("dcgm", "physical GPUs", "8") in [(one.source, one.key, one.value) for one in result.evidence]


def test_a_lost_card_fails_with_its_number() -> None:
    result = plain(gpus=7).rung("gpu_present")
    assert result.status == Status.FAIL
    assert "1 GPU of 8 is missing" in result.reason


def test_a_declared_number_says_so() -> None:
    world = plain(gpus=7).remembering(expected_source="declared")
    assert ("declared", "expected GPUs", "8") in [(one.source, one.key, one.value) for one in world.rung("gpu_present").evidence]


def test_the_machine_type_of_the_cloud_counts_where_more_was_never_seen() -> None:
    ordered = {"karpenter.k8s.aws/instance-gpu-count": "8", "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia"}
    world = plain(gpus=7, labels=ordered).remembering(expected=7)
    assert world.says("gpu_present") == Status.FAIL
    assert world.remembering(expected=7, expected_source="declared").says("gpu_present") == Status.PASS


def test_a_number_that_nobody_tells_meets_no_expectation() -> None:
    invalid = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3-MIG-INVALID", "nvidia.com/gpu.count": "0"}
    world = plain(labels=invalid, capacity={"nvidia.com/gpu": 0})
    assert world.says("gpu_present") == Status.UNKNOWN


def test_a_lower_bound_proves_nothing_by_being_low() -> None:
    world = plain(gfd=False, mig={"3g.40gb": 2}, capacity={"nvidia.com/gpu": None})
    assert world.says("gpu_present") == Status.UNKNOWN


def test_a_node_that_tells_of_no_gpu_any_more_fails_where_some_are_expected() -> None:
    bare = plain(gpus=0)
    assert bare.says("gpu_present") == Status.FAIL
    assert bare.remembering(expected=None).says("gpu_present") == Status.UNKNOWN


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
    assert judge(held).nodes[0].devices.slots.requested == 1


ORDERED_FOUR = {"nvsentinel.dgxc.nvidia.com/gpu.count.expected": "4"}


def test_what_the_machine_was_ordered_with_outweighs_what_others_of_its_type_have() -> None:
    world = plain(gpus=4, labels=ORDERED_FOUR)
    assert world.says("gpu_present") == Status.PASS
    assert world.remembering(expected=None).says("gpu_present") == Status.PASS
    assert world.remembering(expected_source="declared").says("gpu_present") == Status.FAIL
    lost = plain(gpus=3, labels=ORDERED_FOUR).rung("gpu_present")
    assert (lost.status, "1 GPU of 4 is missing" in lost.reason) == (Status.FAIL, True)
    assert ("ordered", "expected GPUs", "4") in [(one.source, one.key, one.value) for one in lost.evidence]


def test_what_was_seen_on_the_node_itself_outweighs_what_it_was_ordered_with() -> None:
    world = plain(gpus=4, labels=ORDERED_FOUR)
    assert world.remembering(previous=Previous(physical=8)).says("gpu_present") == Status.FAIL
    assert world.remembering(previous=Previous(physical=4)).says("gpu_present") == Status.PASS
    named = tuple(f"GPU-{NODE}-{number:04d}" for number in range(8))
    half = world.but(telemetry=telemetry(samples(4))).remembering(known_uuids=named)
    memory = ClusterMemory(nodes={half.node.uid: half.memory})
    (lost,) = [one for one in judge(half.snapshot(), memory).nodes[0].results if one.rule == "gpu_lost"]
    assert len(lost.findings) == 4
