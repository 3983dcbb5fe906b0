"""The table of known nodes: what stands in the API, and the one true answer. Each row is a node somebody runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from fleet.domain.devices import NodeDevices, describe, missing_devices, remember
from fleet.domain.snapshot import DeviceAllocation, DevicePluginConfigs, IncompletePool, NodeSnapshot, PodSnapshot, Taint
from tests.builders import (
    H100,
    NODE,
    make_allocation,
    make_dra_device,
    make_node,
    make_plugin_config,
    make_pod,
)

A100 = "NVIDIA-A100-SXM4-40GB"
SILENT = DevicePluginConfigs()


def look(node: NodeSnapshot, pods: Sequence[PodSnapshot] | None = (), **given: Any) -> NodeDevices:
    """Describes a node of a cluster in which everything was read and nothing else stands."""
    sections: dict[str, Any] = {"plugin": SILENT, "devices": (), "allocations": ()}
    return describe(node, pods=pods, **(sections | given))


def ids(devices: NodeDevices) -> set[str]:
    return {remark.id for remark in devices.remarks}


def slots(devices: NodeDevices) -> tuple[int | None, ...]:
    return (devices.slots.capacity, devices.slots.allocatable, devices.slots.requested, devices.slots.free)


# --- whole cards ------------------------------------------------------------------------------------------------------


def test_eight_exclusive_cards() -> None:
    seen = look(make_node(), [make_pod(gpus=3)])
    assert (seen.physical, seen.physical_source, seen.physical_is_lower_bound) == (8, "label", False)
    assert (seen.partitioning, seen.sharing, seen.replicas, seen.mode) == ("none", "exclusive", 1, "Full GPU")
    assert (seen.vendor, seen.product, seen.family, seen.gpu_memory_mib) == ("nvidia", H100, "hopper", 81559)
    assert (seen.driver_version, seen.cuda_version) == ("570.172.08", "12.8")
    assert slots(seen) == (8, 8, 3, 5)
    assert (seen.mig_instances, seen.advertised, seen.reason) == ({}, "full", "")
    assert len(seen.cards) == 8
    assert not seen.remarks


def test_unhealthy_card_leaves_allocatable_and_stays_physical() -> None:
    seen = look(make_node(unhealthy=1))
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (8, 8, 7, "partial")
    assert "1 of 8 slots not allocatable: 1 GPU" in seen.reason


def test_plugin_down_while_labels_stay() -> None:
    seen = look(make_node(allocatable={"nvidia.com/gpu": 0}))
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (8, 8, 0, "none")
    assert "nothing_offered" in ids(seen)


def test_plugin_gone_with_its_resource_still_expects_the_slots() -> None:
    seen = look(make_node(capacity={"nvidia.com/gpu": None}), [make_pod(gpus=8)])
    (resource,) = seen.resources
    assert (resource.name, resource.capacity, resource.predicted, resource.free) == ("nvidia.com/gpu", 0, 8, -8)
    assert (seen.physical, seen.advertised) == (8, "none")
    assert {"nothing_offered", "requested_exceeds_allocatable"} <= ids(seen)


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
    assert {remark.severity for remark in seen.remarks} == {"info"}
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
    assert "nothing_offered" in ids(seen)


def test_kubelet_not_ready_says_that_its_numbers_are_old() -> None:
    seen = look(make_node(ready="Unknown"))
    assert seen.slots.allocatable == 8
    assert "kubelet_not_ready" in ids(seen)
    assert seen.reason.startswith("The kubelet has stopped reporting")


# --- time-slicing and MPS ---------------------------------------------------------------------------------------------


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
    assert not seen.remarks


def test_renamed_shares_of_one_bad_card() -> None:
    seen = look(make_node(gpus=4, sharing="time-slicing", replicas=10, renamed=True, unhealthy=10))
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (4, 40, 30, "partial")
    assert "10 of 40 slots not allocatable: 1 GPU unhealthy" in seen.reason


def test_mps() -> None:
    seen = look(make_node(gpus=2, product="NVIDIA-L40S", sharing="mps", replicas=8))
    assert (seen.physical, seen.sharing, seen.mode, seen.slots.capacity) == (2, "mps", "MPS ×8", 16)
    assert seen.product == "NVIDIA-L40S"
    assert "isolates no faults" in seen.isolation


def test_sharing_labels_older_than_mps_mean_time_slicing() -> None:
    node = make_node(
        gpus=2,
        sharing="time-slicing",
        replicas=4,
        labels={"nvidia.com/gpu.sharing-strategy": None, "nvidia.com/mps.capable": None},
    )
    assert look(node).mode == "Time-sliced ×4"


def test_shares_of_unknown_kind_are_not_guessed() -> None:
    seen = look(make_node(gpus=2, gfd=False, replicas=4, renamed=True), plugin=None)
    assert (seen.sharing, seen.replicas, seen.physical, seen.mode) == (None, None, None, "Shared")


# --- MIG --------------------------------------------------------------------------------------------------------------


def test_mig_single_divides_instances_by_what_a_card_holds() -> None:
    seen = look(make_node(mig="1g.5gb", product=A100))
    assert (seen.physical, seen.partitioning, seen.sharing, seen.mode) == (8, "mig-single", "exclusive", "MIG 56×1g.5gb")
    assert (seen.product, seen.gpu_memory_mib) == (A100, 40960)
    assert seen.mig_instances == {"1g.5gb": 56}
    assert (seen.resources[0].kind, seen.resources[0].profile, seen.slots.capacity) == ("mig", "1g.5gb", 56)
    assert len(seen.mig_devices) == 56
    assert {device.memory_mib for device in seen.mig_devices} == {4864}
    assert "own memory and faults" in seen.isolation


def test_mig_single_with_a_stale_profile_at_zero() -> None:
    node = make_node(mig="2g.10gb", product=A100, capacity={"nvidia.com/mig-1g.5gb": 0})
    seen = look(node)
    assert (seen.physical, seen.slots.capacity) == (8, 24)
    assert [resource.name for resource in seen.resources] == ["nvidia.com/gpu"]
    assert ids(seen) == {"stale_resource"}
    assert seen.reason == ""


def test_mig_single_partial_layout_is_a_lower_bound() -> None:
    labels = {"nvidia.com/gpu.count": "23", "nvidia.com/mig.config": "custom"}
    seen = look(make_node(mig="2g.10gb", product=A100, labels=labels, capacity={"nvidia.com/gpu": 23}))
    assert (seen.physical, seen.physical_is_lower_bound) == (8, True)
    assert seen.mig_instances == {"2g.10gb": 23}


def test_mig_single_partial_layout_takes_the_clouds_count_where_it_suits() -> None:
    labels = {
        "nvidia.com/gpu.count": "8",
        "nvidia.com/mig.config": "half",
        "karpenter.k8s.aws/instance-gpu-count": "8",
    }
    seen = look(make_node(mig="3g.20gb", product=A100, labels=labels, capacity={"nvidia.com/gpu": 8}))
    assert (seen.physical, seen.physical_source, seen.physical_is_lower_bound) == (8, "cloud", False)


def test_mig_single_of_a_product_nobody_knows_is_a_lower_bound() -> None:
    seen = look(make_node(gpus=2, mig="1g.5gb", product="NVIDIA-X900"))
    assert (seen.physical, seen.physical_is_lower_bound, seen.gpu_memory_mib) == (2, True, None)


def test_mig_single_and_time_slicing() -> None:
    seen = look(make_node(mig="1g.5gb", product=A100, sharing="time-slicing", replicas=2))
    assert (seen.physical, seen.partitioning, seen.sharing, seen.replicas) == (8, "mig-single", "time-slicing", 2)
    assert (seen.mode, seen.slots.capacity, seen.resources[0].kind) == ("MIG + time-sliced ×2", 112, "mig-shared")
    assert seen.product == A100


def test_mig_mixed() -> None:
    seen = look(make_node(mig={"1g.10gb": 16, "2g.20gb": 8, "3g.40gb": 8}))
    assert (seen.physical, seen.partitioning, seen.sharing, seen.replicas) == (8, "mig-mixed", "exclusive", 1)
    assert seen.mig_instances == {"1g.10gb": 16, "2g.20gb": 8, "3g.40gb": 8}
    assert seen.mode == "MIG 16×1g.10gb + 8×2g.20gb + 8×3g.40gb"
    assert (seen.slots.capacity, seen.gpu_memory_mib, seen.advertised) == (32, 81559, "full")
    assert "nvidia.com/gpu" not in {resource.name for resource in seen.resources}


def test_mig_mixed_with_whole_cards_beside() -> None:
    node = make_node(mig={"1g.10gb": 28}, capacity={"nvidia.com/gpu": 4}, labels={"nvidia.com/gpu.replicas": "1"})
    seen = look(node, [make_pod("a", gpus=2), make_pod("b", gpus=5, resource="nvidia.com/mig-1g.10gb")])
    assert (seen.physical, seen.slots.capacity, seen.mode) == (8, 32, "MIG 28×1g.10gb + 4 full GPUs")
    assert {resource.name: (resource.requested, resource.free) for resource in seen.resources} == {
        "nvidia.com/gpu": (2, 2),
        "nvidia.com/mig-1g.10gb": (5, 23),
    }
    assert {resource.predicted for resource in seen.resources} == {4, 28}


def test_mig_mixed_shares_of_one_profile_only() -> None:
    node = make_node(
        mig={"1g.10gb": 14, "3g.40gb": 4},
        labels={"nvidia.com/mig-1g.10gb.replicas": "2", "nvidia.com/mig-1g.10gb.sharing-strategy": "time-slicing"},
        capacity={"nvidia.com/mig-1g.10gb": 28},
    )
    seen = look(node)
    assert (seen.mode, seen.sharing, seen.replicas) == ("MIG + time-sliced", "time-slicing", None)
    assert {resource.profile: resource.replicas for resource in seen.resources} == {"1g.10gb": 2, "3g.40gb": 1}
    assert seen.mig_instances == {"1g.10gb": 14, "3g.40gb": 4}


def test_mig_mixed_with_media_extensions_in_label_form() -> None:
    seen = look(make_node(mig={"1g.10gb.me": 8, "1g.10gb": 48}))
    assert seen.mig_instances == {"1g.10gb": 48, "1g.10gb+me": 8}
    assert seen.resources[1].profile == "1g.10gb+me"
    assert (seen.advertised, seen.physical) == ("full", 8)


def test_mig_invalid_is_a_config_error_and_no_count() -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-INVALID",
        "nvidia.com/gpu.count": "0",
        "nvidia.com/gpu.replicas": "0",
        "nvidia.com/gpu.sharing-strategy": "",
        "nvidia.com/gpu.memory": "0",
    }
    seen = look(make_node(labels=labels, capacity={"nvidia.com/gpu": 0}))
    assert (seen.physical, seen.partitioning, seen.mig_instances) == (None, None, None)
    assert (seen.product, seen.gpu_memory_mib) == ("NVIDIA-A100-SXM4-80GB", 81920)
    assert "mig_invalid" in ids(seen)
    with_hint = look(make_node(labels={**labels, "karpenter.k8s.aws/instance-gpu-count": "8"}, capacity={"nvidia.com/gpu": 0}))
    assert (with_hint.physical, with_hint.physical_source) == (8, "cloud")


def test_mig_mode_under_the_none_strategy_is_offered_as_full_cards() -> None:
    seen = look(make_node(labels={"nvidia.com/gpu.replicas": "0", "nvidia.com/mig.strategy": None}))
    assert (seen.physical, seen.partitioning, seen.mode, seen.replicas) == (8, "none", "Full GPU", 1)
    assert "mig_mode_not_used" in ids(seen)


def test_mig_mode_without_instances() -> None:
    labels = {"nvidia.com/gpu.replicas": "0", "nvidia.com/mig.strategy": "mixed"}
    seen = look(make_node(labels=labels, capacity={"nvidia.com/gpu": 0}))
    assert (seen.physical, seen.mode, seen.advertised) == (8, "MIG without instances", "none")


@pytest.mark.parametrize(
    ("state", "remark"), [("pending", "mig_change"), ("rebooting", "mig_change"), ("failed", "mig_config_failed")]
)
def test_mig_layout_wanted_and_actual(state: str, remark: str) -> None:
    labels = {"nvidia.com/mig.config": "all-2g.10gb", "nvidia.com/mig.config.state": state}
    seen = look(make_node(mig="1g.5gb", product=A100, labels=labels))
    assert (seen.mig_desired, seen.mig_state) == ("all-2g.10gb", state)
    assert (seen.mig_instances, seen.physical) == ({"1g.5gb": 56}, 8)
    assert remark in ids(seen)


def test_labels_of_one_strategy_resources_of_the_other() -> None:
    seen = look(make_node(mig="1g.5gb", product=A100, capacity={"nvidia.com/gpu": 0, "nvidia.com/mig-1g.5gb": 56}))
    assert (seen.partitioning, seen.physical, seen.mig_instances) == ("mig-mixed", 8, {"1g.5gb": 56})
    assert "labels_disagree_with_resources" in ids(seen)


def test_single_labels_tell_an_instances_memory_also_where_the_resources_are_mixed() -> None:
    seen = look(make_node(mig="1g.5gb", product=A100, capacity={"nvidia.com/gpu": 0, "nvidia.com/mig-1g.5gb": 56}))
    assert seen.gpu_memory_mib == 40960


def test_whole_cards_beside_mig_outvote_a_label_that_lags() -> None:
    seen = look(make_node(mig={"1g.10gb": 28}, capacity={"nvidia.com/gpu": 4}))  # gpu.replicas still says 0
    assert (seen.physical, seen.replicas, seen.sharing, seen.advertised) == (8, 1, "exclusive", "full")


def test_more_whole_cards_than_the_instances_leave() -> None:
    seen = look(make_node(mig={"1g.10gb": 28}, capacity={"nvidia.com/gpu": 5}))
    assert (seen.physical, seen.advertised) == (8, "unknown")
    assert "leave at most 4 of 8 labelled cards whole" in seen.reason


def test_a_profile_left_behind_with_its_old_number_is_not_counted() -> None:
    stale = "nvidia.com/mig-2g.20gb"
    seen = look(make_node(mig={"1g.10gb": 56}, capacity={stale: 3}, allocatable={stale: 0}))
    assert (slots(seen), seen.mig_instances, seen.advertised) == ((56, 56, 0, 56), {"1g.10gb": 56}, "full")
    assert ids(seen) == {"stale_resource"}
    offered = look(make_node(mig={"1g.10gb": 56}, capacity={stale: 3}))
    assert (offered.slots.capacity, offered.mig_instances, offered.advertised) == (59, {"1g.10gb": 56}, "unknown")
    assert "labels_disagree_with_resources" in ids(offered)


def test_pods_that_hold_instances_that_are_gone() -> None:
    gone = "nvidia.com/mig-2g.20gb"
    seen = look(make_node(mig={"1g.10gb": 56}, capacity={gone: 0}), [make_pod(gpus=2, resource=gone)])
    assert {resource.name: resource.free for resource in seen.resources} == {"nvidia.com/mig-1g.10gb": 56, gone: -2}
    assert slots(seen) == (56, 56, 0, 56)
    assert "2 slots requested, 0 allocatable" in seen.reason


# --- labels, configuration and capacity that differ -------------------------------------------------------------------


def test_capacity_decides_between_configuration_and_labels() -> None:
    by_config = look(
        make_node(gpus=4, sharing="time-slicing", replicas=8, capacity={"nvidia.com/gpu": 16}),
        plugin=make_plugin_config(sharing="time-slicing", replicas=4),
    )
    assert (by_config.physical, by_config.replicas, by_config.mode) == (4, 4, "Time-sliced ×4")
    by_labels = look(make_node(gpus=4), plugin=make_plugin_config(sharing="time-slicing", replicas=4))
    assert (by_labels.physical, by_labels.replicas, by_labels.mode) == (4, 1, "Full GPU")
    for seen in (by_config, by_labels):
        remark = next(remark for remark in seen.remarks if remark.id == "config_disagrees_with_labels")
        assert {evidence.source for evidence in remark.evidence} == {"label", "config", "capacity"}


def test_label_says_one_while_fifty_are_offered() -> None:
    node = make_node(gpus=1, capacity={"nvidia.com/gpu": 50})
    told = look(node, plugin=make_plugin_config(sharing="time-slicing", replicas=50))
    assert (told.physical, told.replicas, told.mode) == (1, 50, "Time-sliced ×50")
    untold = look(node)
    assert (untold.physical, untold.replicas, untold.sharing) == (1, 50, None)


def test_replicas_configured_but_not_in_force() -> None:
    node = make_node(sharing="time-slicing", replicas=4, capacity={"nvidia.com/gpu": 8})
    seen = look(node, plugin=make_plugin_config(sharing="time-slicing", replicas=4))
    assert (seen.physical, seen.replicas, seen.mode) == (8, 1, "Full GPU")
    assert "capacity_disagrees_with_labels" in ids(seen)


def test_a_card_without_slots_where_label_and_configuration_agree() -> None:
    node = make_node(gpus=4, sharing="time-slicing", replicas=4, capacity={"nvidia.com/gpu": 12})
    seen = look(node, plugin=make_plugin_config(sharing="time-slicing", replicas=4))
    assert (seen.physical, seen.replicas, seen.advertised) == (4, 4, "partial")
    assert "1 GPU unhealthy or gone" in seen.reason


def test_two_readings_are_not_guessed_between() -> None:
    seen = look(make_node(gpus=4, sharing="time-slicing", replicas=4, capacity={"nvidia.com/gpu": 12}), plugin=None)
    assert (seen.physical, seen.replicas, seen.sharing, seen.mode) == (4, None, "time-slicing", "Time-sliced")
    assert "replicas_unclear" in ids(seen)


def test_capacity_below_the_labelled_count() -> None:
    seen = look(make_node(capacity={"nvidia.com/gpu": 7}))
    assert (seen.physical, seen.resources[0].predicted, seen.advertised) == (8, 8, "partial")
    assert "fewer_slots_than_devices" in ids(seen)


def test_configuration_of_the_node_is_chosen_by_its_label() -> None:
    configs = (
        *make_plugin_config("shared", sharing="time-slicing", replicas=4).configs,
        *make_plugin_config("alone").configs,
    )
    plugin = DevicePluginConfigs(configs=configs, default_key="alone")
    node = make_node(gpus=2, gfd=False, replicas=4, labels={"nvidia.com/device-plugin.config": "shared"})
    assert look(node, plugin=plugin).mode == "Time-sliced ×4"
    assert look(node, plugin=plugin).physical == 2
    lost = look(make_node(labels={"nvidia.com/device-plugin.config": "nobody"}), plugin=plugin)
    assert "plugin_config_missing_key" in ids(lost)


def test_both_names_of_one_resource_are_counted_once() -> None:
    node = make_node(
        gpus=4,
        sharing="time-slicing",
        replicas=4,
        renamed=True,
        capacity={"nvidia.com/gpu": 4},
        allocatable={"nvidia.com/gpu": 0},
    )
    seen = look(node)
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (4, 16, 16, "full")
    assert "renamed_twice" in ids(seen)


# --- several products -------------------------------------------------------------------------------------------------


def test_more_slots_than_the_labelled_product_explains() -> None:
    seen = look(make_node(gpus=4, capacity={"nvidia.com/gpu": 8}))
    assert (seen.physical, seen.slots.capacity) == (None, 8)
    assert "mixed_products" in ids(seen)


def test_more_slots_than_the_labelled_product_explains_shared() -> None:
    assert look(make_node(gpus=4, sharing="time-slicing", replicas=2, capacity={"nvidia.com/gpu": 16})).physical is None


@pytest.mark.parametrize(
    ("labels", "given", "source"),
    [
        ({"karpenter.k8s.aws/instance-gpu-count": "8"}, {}, "cloud"),
        ({}, {"plugin": make_plugin_config()}, "config"),
        ({}, {"devices": [make_dra_device(index) for index in range(8)]}, "resource_slice"),
    ],
)
def test_other_evidence_counts_the_second_product(labels: dict[str, str], given: dict[str, Any], source: str) -> None:
    seen = look(make_node(gpus=4, capacity={"nvidia.com/gpu": 8}, labels=labels), **given)
    assert (seen.physical, seen.physical_source) == (8, source)


def test_products_of_slices_are_all_named() -> None:
    devices = [make_dra_device(0), make_dra_device(1, product="NVIDIA L40S")]
    assert look(make_node(gpus=0), devices=devices).products == (H100, "NVIDIA-L40S")


# --- labels that are not there ----------------------------------------------------------------------------------------


def test_labels_a_minute_away_do_not_make_the_node_unknown() -> None:
    before = look(make_node(sharing="time-slicing", replicas=4))
    gone = make_node(gfd=False, sharing="time-slicing", replicas=4, labels={"nvidia.com/gpu.present": "true"})
    seen = look(gone, previous=remember(before))
    for field in ("physical", "product", "family", "gpu_memory_mib", "mode", "sharing", "replicas", "partitioning", "slots"):
        assert getattr(seen, field) == getattr(before, field), field
    assert seen.physical_source == "previous"
    assert [(remark.id, remark.severity) for remark in seen.remarks] == [("labels_missing", "info")]


def test_an_old_truth_does_not_outlive_its_capacity() -> None:
    before = remember(look(make_node(sharing="time-slicing", replicas=4)))
    seen = look(make_node(gpus=4, gfd=False), previous=before)
    assert (seen.physical, seen.physical_source, seen.product) == (4, "capacity", "")


def test_static_plugin_without_any_label() -> None:
    seen = look(make_node(gfd=False))
    assert (seen.physical, seen.physical_source) == (8, "capacity")
    assert (seen.partitioning, seen.sharing, seen.replicas, seen.mode) == (None, None, None, "Unknown")
    assert (seen.mig_instances, seen.product, seen.gpu_memory_mib) == (None, "", None)
    assert ids(seen) == {"physical_assumed"}


def test_more_slots_than_any_machine_has_cards() -> None:
    seen = look(make_node(gpus=40, gfd=False))
    assert (seen.physical, seen.slots.capacity) == (None, 40)
    assert "physical_unknown" in ids(seen)


def test_configuration_alone_tells_replicas() -> None:
    plugin = make_plugin_config(sharing="mps", replicas=8)
    seen = look(make_node(gpus=2, gfd=False, replicas=8), plugin=plugin)
    assert (seen.physical, seen.physical_source, seen.sharing, seen.mode) == (2, "config", "mps", "MPS ×8")


def test_slots_that_do_not_divide_by_the_configured_replicas() -> None:
    seen = look(make_node(gpus=7, gfd=False), plugin=make_plugin_config(sharing="time-slicing", replicas=4))
    assert seen.physical is None


def test_mixed_instances_without_labels_are_a_lower_bound() -> None:
    seen = look(make_node(gfd=False, mig={"1g.10gb": 15}))
    assert (seen.physical, seen.physical_is_lower_bound, seen.mig_instances) == (3, True, {"1g.10gb": 15})


@pytest.mark.parametrize("label", ["nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present"])
def test_expected_but_not_advertised(label: str) -> None:
    seen = look(make_node(gpus=0, labels={label: "true"}))
    assert (seen.vendor, seen.physical, seen.advertised) == ("nvidia", None, "none")
    assert "nothing_offered" in ids(seen)


# --- DRA --------------------------------------------------------------------------------------------------------------


def test_dra_only() -> None:
    devices = [make_dra_device(index) for index in range(8)]
    held = [make_allocation(devices[0]), make_allocation(devices[1], claim="watch", admin_access=True)]
    seen = look(make_node(gpus=0), devices=devices, allocations=held)
    assert (seen.physical, seen.physical_source, seen.mode, seen.sharing) == (8, "resource_slice", "Full GPU", "exclusive")
    assert (seen.product, seen.gpu_memory_mib, seen.family, seen.cuda_version) == (H100, 81559, "hopper", "12.8")
    assert slots(seen) == (8, 8, 1, 7)
    assert (seen.resources[0].name, seen.resources[0].kind, seen.advertised) == ("gpu.nvidia.com", "dra-gpu", "full")
    assert [card.held for card in seen.cards] == [True] + [False] * 7
    assert not seen.remarks


def test_dra_static_mig() -> None:
    parts = [make_dra_device(card, type="mig", profile="1g.10gb", placement=place) for card in (6, 7) for place in range(7)]
    seen = look(
        make_node(gpus=0),
        devices=[make_dra_device(index) for index in range(6)] + parts,
        allocations=[make_allocation(parts[0])],
    )
    assert (seen.physical, seen.partitioning, seen.mig_instances) == (8, "mig-mixed", {"1g.10gb": 14})
    assert {resource.name: (resource.capacity, resource.requested) for resource in seen.resources} == {
        "gpu.nvidia.com": (6, 0),
        "mig.nvidia.com": (14, 1),
    }
    assert (seen.slots.capacity, seen.mode) == (20, "MIG 14×1g.10gb + 6 full GPUs")
    assert sum(card.mig_enabled is True for card in seen.cards) == 2


def test_dra_placements_of_dynamic_mig_are_no_instances() -> None:
    devices = [make_dra_device(0)] + [
        make_dra_device(0, type="mig", profile="1g.10gb", placement=place, uuid="") for place in range(7)
    ]
    free = look(make_node(gpus=0), devices=devices)
    assert (free.physical, free.mig_instances, slots(free)) == (1, {}, (1, 1, 0, 1))
    held = look(make_node(gpus=0), devices=devices, allocations=[make_allocation(devices[1])])
    assert (held.physical, held.mig_instances, slots(held)) == (1, {"1g.10gb": 1}, (1, 1, 1, 0))


def test_dra_and_device_plugin_on_the_same_cards_are_counted_once() -> None:
    seen = look(make_node(), devices=[make_dra_device(index) for index in range(8)])
    assert (seen.physical, seen.slots.capacity) == (8, 8)
    assert {resource.name for resource in seen.resources} == {"gpu.nvidia.com", "nvidia.com/gpu"}
    assert "double_stack" in ids(seen)


def test_compute_domain_devices_are_no_gpus() -> None:
    channel = make_dra_device(0, driver="compute-domain.nvidia.com", type="channel", name="channel-0", uuid="")
    seen = look(make_node(), devices=[channel])
    assert (seen.physical, seen.physical_source) == (8, "label")
    assert not seen.remarks


def test_dra_without_claims_read() -> None:
    seen = look(make_node(gpus=0), devices=[make_dra_device(0)], allocations=None)
    assert slots(seen) == (1, 1, None, None)
    assert "claims_unread" in ids(seen)


def test_pool_not_seen_whole_has_no_numbers() -> None:
    pool = IncompletePool(driver="gpu.nvidia.com", pool=NODE, node_name=NODE, seen=1, expected=2)
    seen = look(make_node(gpus=4, capacity={"nvidia.com/gpu": None}), incomplete_pools=[pool])
    assert (seen.physical, seen.physical_source) == (4, "label")
    assert slots(seen) == (None, None, None, None)
    assert seen.advertised == "unknown"
    assert "slices_incomplete" in ids(seen)


def test_pool_not_seen_whole_and_no_labels() -> None:
    pool = IncompletePool(driver="gpu.nvidia.com", pool=NODE, node_name=NODE, seen=1, expected=2)
    seen = look(make_node(gpus=0), incomplete_pools=[pool], plugin=make_plugin_config())
    assert (seen.physical, seen.sharing, seen.partitioning, seen.mode) == (None, None, None, "Unknown")
    assert slots(seen) == (None, None, None, None)
    assert ids(seen) == {"slices_incomplete", "physical_unknown"}


def test_a_tainted_device_is_not_allocatable() -> None:
    devices = [
        make_dra_device(0, taints=(Taint("gpu.nvidia.com/xid", "79", "NoSchedule"),)),
        make_dra_device(1, taints=(Taint("gpu.nvidia.com/unmonitored", "", "None"),)),
    ]
    seen = look(make_node(gpus=0), devices=devices)
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (2, 2, 1, "partial")


def test_pods_of_extended_resources_backed_by_dra_are_counted_by_their_claims() -> None:
    devices = [make_dra_device(0), make_dra_device(1)]
    seen = look(make_node(gpus=0), [make_pod(gpus=1)], devices=devices, allocations=[make_allocation(devices[0])])
    assert [resource.name for resource in seen.resources] == ["gpu.nvidia.com"]
    assert slots(seen) == (2, 2, 1, 1)


def test_slices_outvote_labels_and_say_so() -> None:
    seen = look(make_node(capacity={"nvidia.com/gpu": None}), devices=[make_dra_device(index) for index in range(7)])
    assert (seen.physical, seen.resources[0].predicted, seen.advertised) == (7, 8, "partial")
    assert "slices_disagree_with_labels" in ids(seen)


# --- requested --------------------------------------------------------------------------------------------------------


def test_asking_for_more_than_is_offered_is_said_in_words() -> None:
    seen = look(make_node(), [make_pod("a", gpus=6), make_pod("b", gpus=6)])
    assert slots(seen) == (8, 8, 12, -4)
    assert "12 slots requested, 8 allocatable: 4 more than the node offers" in seen.reason


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


# --- helpers ----------------------------------------------------------------------------------------------------------


def test_missing_devices() -> None:
    remark = missing_devices(7, 8)
    assert remark is not None
    assert remark.text == "1 GPU of 8 missing: only 7 can be seen."
    assert missing_devices(8, 8) is None
    assert missing_devices(None, 8) is None
    assert missing_devices(8, None) is None


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
