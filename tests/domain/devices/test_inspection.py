"""Whole GPUs and shares of them: what is in the API, and the right answer. Each test is a node seen in practice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fleet.domain.snapshot import DeviceAllocation
from tests.builders import H100, make_node, make_pod
from tests.domain.looks import ids, look, slots


def test_eight_exclusive_cards() -> None:
    seen = look(make_node(), [make_pod(gpus=3)])
    assert (seen.physical, seen.physical_source, seen.physical_is_lower_bound) == (8, "label", False)
    assert (seen.partitioning, seen.sharing, seen.replicas, seen.mode) == ("none", "exclusive", 1, "Full GPU")
    assert (seen.vendor, seen.product, seen.family, seen.gpu_memory_mib) == ("nvidia", H100, "hopper", 81559)
    assert (seen.driver_version, seen.cuda_version) == ("570.172.08", "12.8")
    assert slots(seen) == (8, 8, 3, 5)
    assert (seen.mig_instances, seen.advertised, seen.reason) == ({}, "full", "")
    assert len(seen.cards) == 8
    assert not seen.findings


def test_unhealthy_card_leaves_allocatable_and_stays_physical() -> None:
    seen = look(make_node(unhealthy=1))
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (8, 8, 7, "partial")
    assert "1 of 8 slots not allocatable: 1 GPU" in seen.reason


def test_plugin_down_while_labels_stay() -> None:
    seen = look(make_node(allocatable={"nvidia.com/gpu": 0}))
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (8, 8, 0, "none")
    assert "nothing_advertised" in ids(seen)


def test_plugin_gone_with_its_resource_still_expects_the_slots() -> None:
    seen = look(make_node(capacity={"nvidia.com/gpu": None}), [make_pod(gpus=8)])
    (resource,) = seen.resources
    assert (resource.name, resource.capacity, resource.predicted, resource.free) == ("nvidia.com/gpu", 0, 8, -8)
    assert (seen.physical, seen.advertised) == (8, "none")
    assert {"nothing_advertised", "requested_exceeds_allocatable"} <= ids(seen)


def test_driver_upgrade_is_maintenance_and_no_alarm() -> None:
    node = make_node(
        allocatable={"nvidia.com/gpu": 0},
        unschedulable=True,
        labels={
            "nvidia.com/gpu-driver-upgrade-state": "drain-required",
            "nvidia.com/gpu.deploy.device-plugin": "paused-for-driver-upgrade",
        },
    )
    seen = look(node, [make_pod(gpus=2)])
    assert (seen.physical, seen.slots.allocatable, seen.advertised) == (8, 0, "none")
    assert {finding.severity for finding in seen.findings} == {"info"}
    assert seen.reason == "Driver upgrade in progress (drain-required)."


def test_gpus_taken_out_of_the_machine() -> None:
    labels = {"nvidia.com/gpu.present": "false", "nvidia.com/gpu.count": "1"}
    seen = look(make_node(gpus=0, labels=labels, capacity={"nvidia.com/gpu": 0}))
    assert (seen.physical, seen.slots.capacity) == (0, 0)


def test_what_gfd_left_behind_when_the_gpus_went_describes_nothing() -> None:
    node = make_node(labels={"nvidia.com/gpu.present": "false"}, capacity={"nvidia.com/gpu": 0})
    seen = look(node)
    assert (seen.physical, seen.product, seen.slots.capacity) == (0, "", 0)
    assert [(resource.name, resource.capacity) for resource in seen.resources] == [("nvidia.com/gpu", 0)]


def test_a_card_on_the_bus_outvotes_the_operators_denial() -> None:
    labels = {"nvidia.com/gpu.present": "false", "feature.node.kubernetes.io/pci-10de.present": "true"}
    seen = look(make_node(gpus=0, labels=labels))
    assert (seen.physical, seen.advertised) == (None, "none")
    assert "nothing_advertised" in ids(seen)


def test_kubelet_not_ready_says_that_its_numbers_are_old() -> None:
    seen = look(make_node(ready="Unknown"))
    assert seen.slots.allocatable == 8
    assert "kubelet_down" in ids(seen)
    assert seen.reason.startswith("The kubelet has stopped reporting")


def test_time_slicing_counts_one_card() -> None:
    seen = look(make_node(gpus=1, product="Tesla-T4", sharing="time-slicing", replicas=4), [make_pod(gpus=3)])
    assert (seen.physical, seen.replicas, seen.mode, seen.product) == (1, 4, "Time-sliced ×4", "Tesla-T4")
    assert (seen.sharing, seen.partitioning) == ("time-slicing", "none")
    assert slots(seen) == (4, 4, 3, 1)
    assert seen.gpu_memory_mib == 15360
    assert "isolates nothing" in seen.isolation


@pytest.mark.parametrize("old_name", ["0", None])
def test_renamed_shares(old_name: str | None) -> None:
    node = make_node(
        gpus=4, product="NVIDIA-A10G", sharing="time-slicing", replicas=10, renamed=True, capacity={"nvidia.com/gpu": old_name}
    )
    seen = look(node)
    assert [resource.name for resource in seen.resources] == ["nvidia.com/gpu.shared"]
    assert (seen.physical, seen.mode, seen.slots.capacity, seen.advertised) == (4, "Time-sliced ×10", 40, "full")
    assert not seen.findings


def test_renamed_shares_of_one_bad_card() -> None:
    seen = look(make_node(gpus=4, sharing="time-slicing", replicas=10, renamed=True, unhealthy=10))
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (4, 40, 30, "partial")
    assert "10 of 40 slots not allocatable: 1 GPU unhealthy" in seen.reason


def test_mps() -> None:
    seen = look(make_node(gpus=2, product="NVIDIA-L40S", sharing="mps", replicas=8))
    assert (seen.physical, seen.sharing, seen.mode, seen.slots.capacity) == (2, "mps", "MPS ×8", 16)
    assert seen.product == "NVIDIA-L40S"
    assert "but no faults" in seen.isolation


def test_sharing_labels_older_than_mps_mean_time_slicing() -> None:
    node = make_node(
        gpus=2,
        sharing="time-slicing",
        replicas=4,
        labels={"nvidia.com/gpu.sharing-strategy": None, "nvidia.com/mps.capable": None},
    )
    assert look(node).mode == "Time-sliced ×4"


def test_mps_capable_means_mps_without_a_strategy() -> None:
    labels = {"nvidia.com/gpu.sharing-strategy": None}
    assert look(make_node(gpus=2, sharing="mps", replicas=4, labels=labels)).mode == "MPS ×4"
    labels["nvidia.com/mps.capable"] = "false"
    assert look(make_node(gpus=2, sharing="mps", replicas=4, labels=labels)).sharing is None


def test_shares_of_unknown_kind_are_not_guessed() -> None:
    seen = look(make_node(gpus=2, gfd=False, replicas=4, renamed=True), plugin=None)
    assert (seen.sharing, seen.replicas, seen.physical, seen.mode) == (None, None, None, "Shared")


def test_requests_beyond_the_advertised_slots_are_explained() -> None:
    seen = look(make_node(), [make_pod("a", gpus=6), make_pod("b", gpus=6)])
    assert slots(seen) == (8, 8, 12, 0)
    assert "12 slots requested, 8 allocatable: 4 more than the node advertises" in seen.reason


def test_pods_that_could_not_be_read_leave_requested_unknown() -> None:
    seen = look(make_node(), None)
    assert slots(seen) == (8, 8, None, None)
    assert "pods_unread" in ids(seen)
    bare = look(make_node(gpus=0, labels={"nvidia.com/gpu.present": "true"}), None)
    assert slots(bare) == (0, 0, None, None)


def test_terminating_pods_hold_and_finished_ones_do_not() -> None:
    pods = [
        make_pod("leaving", gpus=2, deleting_since=datetime(2026, 1, 1, tzinfo=UTC)),
        make_pod("done", gpus=2, phase="Succeeded"),
        make_pod("broken", gpus=2, phase="Failed"),
        make_pod("starting", gpus=1, phase="Pending"),
    ]
    assert look(make_node(), pods).slots.requested == 3


def test_cards_are_named_where_the_kubelet_names_them() -> None:
    pod = make_pod(
        devices=(
            DeviceAllocation(resource="nvidia.com/gpu", device_id="GPU-5a3c1b7e-0d21-4b7f-9a6e-1c2d3e4f5a60::3"),
            DeviceAllocation(resource="nvidia.com/gpu", device_id="GPU-5a3c1b7e-0d21-4b7f-9a6e-1c2d3e4f5a60::1"),
        )
    )
    cards = look(make_node(gpus=2, sharing="time-slicing", replicas=4), [pod]).cards
    assert [(card.uuid, card.source) for card in cards] == [
        ("GPU-5a3c1b7e-0d21-4b7f-9a6e-1c2d3e4f5a60", "pod"),
        ("", "label"),
    ]
