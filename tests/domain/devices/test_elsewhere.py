"""Nodes without NVIDIA's labels: clouds, other vendors, virtual machines."""

from __future__ import annotations

import pytest

from fleet.domain.devices.inspection import NodeDevices, NodeInputs, inspect
from fleet.domain.snapshot import DevicePluginConfigs
from tests.builders import make_node, make_pod

GKE = "cloud.google.com/gke-"
KARPENTER = "karpenter.k8s.aws/instance-gpu-"


def look(*, slots: dict[str, int] | None = None, labels: dict[str, str] | None = None) -> NodeDevices:
    node = make_node(gpus=0, gfd=False, labels=labels, capacity=slots)
    return inspect(NodeInputs(node=node, pods=(), plugin=DevicePluginConfigs(), devices=(), allocations=()))


@pytest.mark.parametrize("strategy", ["time-sharing", "time-slicing"])
def test_gke_time_sharing(strategy: str) -> None:
    seen = look(
        slots={"nvidia.com/gpu": 6},
        labels={
            GKE + "accelerator": "nvidia-l4",
            GKE + "accelerator-count": "2",
            GKE + "gpu-sharing-strategy": strategy,
            GKE + "max-shared-clients-per-gpu": "3",
        },
    )
    assert (seen.physical, seen.physical_source, seen.sharing, seen.mode) == (2, "cloud", "time-slicing", "Time-sliced ×3")
    assert (seen.product, seen.gpu_memory_mib, seen.partitioning) == ("NVIDIA-L4", 23034, "none")


def test_gke_without_a_count_divides_by_the_clients() -> None:
    labels = {
        GKE + "accelerator": "nvidia-l4",
        GKE + "gpu-sharing-strategy": "mps",
        GKE + "max-shared-clients-per-gpu": "4",
    }
    seen = look(slots={"nvidia.com/gpu": 8}, labels=labels)
    assert (seen.physical, seen.mode) == (2, "MPS ×4")


def test_gke_partitions_are_mig() -> None:
    labels = {
        GKE + "accelerator": "nvidia-tesla-a100",
        GKE + "accelerator-count": "2",
        GKE + "gpu-partition-size": "1g.5gb",
    }
    seen = look(slots={"nvidia.com/gpu": 14}, labels=labels)
    assert (seen.physical, seen.partitioning, seen.mig_instances, seen.mode) == (2, "mig-single", {"1g.5gb": 14}, "MIG 7×1g.5gb")
    assert (seen.product, seen.gpu_memory_mib, seen.resources[0].kind) == ("NVIDIA-A100-SXM4-40GB", 40960, "mig")
    shared = labels | {GKE + "gpu-sharing-strategy": "time-sharing", GKE + "max-shared-clients-per-gpu": "2"}
    both = look(slots={"nvidia.com/gpu": 28}, labels=shared)
    assert (both.physical, both.mig_instances, both.mode) == (2, {"1g.5gb": 14}, "MIG + time-sliced ×2")
    without_count = {key: value for key, value in shared.items() if not key.endswith("-count")}
    assert look(slots={"nvidia.com/gpu": 28}, labels=without_count).physical == 2


def test_gke_shares_and_cuts_behind_the_back_of_an_own_gfd() -> None:
    gke = {GKE + "accelerator": "nvidia-tesla-a100", GKE + "accelerator-count": "2"}
    sharing = gke | {GKE + "gpu-sharing-strategy": "time-sharing", GKE + "max-shared-clients-per-gpu": "3"}
    node = make_node(gpus=2, product="NVIDIA-A100-SXM4-40GB", labels=sharing, capacity={"nvidia.com/gpu": 6})
    shared = inspect(NodeInputs(node=node, pods=(), plugin=DevicePluginConfigs(), devices=(), allocations=()))
    assert (shared.physical, shared.mode, shared.sharing) == (2, "Time-sliced ×3", "time-slicing")
    cutting = gke | {GKE + "gpu-partition-size": "1g.5gb", "nvidia.com/gpu.replicas": "0"}
    node = make_node(gpus=2, product="NVIDIA-A100-SXM4-40GB", labels=cutting, capacity={"nvidia.com/gpu": 14})
    cut = inspect(NodeInputs(node=node, pods=(), plugin=DevicePluginConfigs(), devices=(), allocations=()))
    assert (cut.physical, cut.mode, cut.mig_instances) == (2, "MIG 7×1g.5gb", {"1g.5gb": 14})
    assert cut.gpu_memory_mib == 40960


def test_gke_plain() -> None:
    seen = look(slots={"nvidia.com/gpu": 1}, labels={GKE + "accelerator": "nvidia-tesla-t4", GKE + "accelerator-count": "1"})
    assert (seen.physical, seen.product, seen.mode, seen.sharing) == (1, "Tesla-T4", "Full GPU", "exclusive")
    assert not seen.findings


def test_gke_node_that_offers_nothing() -> None:
    seen = look(labels={GKE + "accelerator": "nvidia-tesla-t4", GKE + "accelerator-count": "4"})
    assert (seen.physical, seen.advertised, seen.resources[0].predicted) == (4, "none", 4)
    assert "nothing_advertised" in {finding.rule for finding in seen.findings}


@pytest.mark.parametrize("prefix", [KARPENTER, "eks.amazonaws.com/instance-gpu-"])
def test_karpenter_and_eks_auto(prefix: str) -> None:
    labels = {prefix + "name": "t4", prefix + "manufacturer": "nvidia", prefix + "count": "4", prefix + "memory": "16384"}
    seen = look(slots={"nvidia.com/gpu": 4}, labels=labels)
    assert (seen.physical, seen.physical_source, seen.product, seen.mode) == (4, "cloud", "Tesla-T4", "Full GPU")
    assert seen.gpu_memory_mib == 15360  # the label's 16384 is nominal
    shared = look(slots={"nvidia.com/gpu": 16}, labels=labels)
    assert (shared.physical, shared.replicas, shared.sharing, shared.mode) == (4, 4, None, "Shared ×4")
    idle = look(labels=labels)
    assert (idle.physical, idle.advertised) == (4, "none")
    assert idle.reason == "The node should have 4 GPUs, but advertises none to the scheduler."


def test_several_slots_per_card_that_mig_could_cut_are_not_called_shares() -> None:
    seen = look(
        slots={"nvidia.com/gpu": 56},
        labels={KARPENTER + "name": "h100", KARPENTER + "manufacturer": "nvidia", KARPENTER + "count": "8"},
    )
    assert (seen.physical, seen.replicas, seen.sharing, seen.partitioning, seen.mode) == (8, None, None, None, "Unknown")


def test_fewer_slots_than_ordered_cards() -> None:
    seen = look(slots={"nvidia.com/gpu": 7}, labels={KARPENTER + "name": "h100", KARPENTER + "count": "8"})
    assert (seen.physical, seen.slots.capacity, seen.advertised) == (8, 7, "partial")


def test_aks_label_names_only_the_vendor() -> None:
    seen = look(slots={"nvidia.com/gpu": 1}, labels={"kubernetes.azure.com/accelerator": "nvidia"})
    assert (seen.vendor, seen.product, seen.physical, seen.physical_source) == ("nvidia", "", 1, "capacity")
    assert look(labels={"kubernetes.azure.com/accelerator": "nvidia"}).vendor == "nvidia"


def test_labels_and_machine_type_that_differ() -> None:
    node = make_node(gpus=7, labels={KARPENTER + "count": "8"})
    seen = inspect(NodeInputs(node=node, pods=(), plugin=None, devices=(), allocations=()))
    assert (seen.physical, seen.physical_source) == (7, "label")
    assert seen.reason == "7 GPUs detected, but the machine type has 8."


# --- AMD, Intel, Habana -----------------------------------------------------------------------------------------------


def test_amd() -> None:
    labels = {"amd.com/gpu.vram": "192G", "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}
    seen = look(slots={"amd.com/gpu": 8}, labels=labels)
    assert (seen.vendor, seen.product, seen.physical, seen.mode) == ("amd", "AMD_Instinct_MI300X_OAM", 8, "Full GPU")
    assert (seen.sharing, seen.partitioning, seen.advertised) == ("exclusive", "none", "full")
    assert seen.gpu_memory_mib == 192 * 1024


@pytest.mark.parametrize("slots", [{"amd.com/gpu": 64}, {"amd.com/cpx_nps1": 64, "amd.com/gpu": 0}])
def test_amd_partitions_are_no_cards(slots: dict[str, int]) -> None:
    labels = {"amd.com/gpu.product-name": "AMD_Instinct_MI300X", "amd.com/gpu.compute-memory-partition": "CPX_NPS1"}
    seen = look(slots=slots, labels=labels)
    assert (seen.physical, seen.slots.capacity, seen.mode, seen.partitioning) == (8, 64, "Partitioned CPX ×8", None)
    assert (seen.resources[0].kind, seen.resources[0].profile) == ("partition", "CPX")
    assert seen.isolation.startswith("Each slot is a partition of a GPU")


def test_amd_partitions_of_an_unknown_product() -> None:
    seen = look(slots={"amd.com/gpu": 24}, labels={"amd.com/gpu.compute-memory-partition": "CPX_NPS4"})
    assert seen.physical is None


def test_amd_old_labels_count() -> None:
    labels = {"beta.amd.com/gpu.family.AI": "8", "beta.amd.com/gpu.vram.64G": "8"}
    seen = look(slots={"amd.com/gpu": 6}, labels=labels)
    assert (seen.physical, seen.physical_source, seen.gpu_memory_mib, seen.advertised) == (8, "label", 65536, "partial")


def test_intel_shares_by_its_own_count() -> None:
    labels = {"gpu.intel.com/device.count": "2", "gpu.intel.com/product": "Flex_170"}
    seen = look(slots={"gpu.intel.com/i915": 20, "gpu.intel.com/i915_monitoring": 1}, labels=labels)
    assert (seen.vendor, seen.product, seen.physical, seen.replicas) == ("intel", "Flex_170", 2, 10)
    assert [resource.name for resource in seen.resources] == ["gpu.intel.com/i915"]


@pytest.mark.parametrize(
    ("counts_by_id", "physical", "replicas"),
    [
        ({"device-id.0380-0bd5.count": "4"}, 4, 2),
        ({"device-id.0380-0bd5.count": "3", "device-id.0300-9a49.count": "1"}, 4, 2),  # the processor's own is offered too
        ({"device-id.0380-0bd5.count": "2", "device.count": "4"}, 4, 2),
        ({"device-id.0380-0bd5.count": "8", "device.count": "2"}, 8, 1),
    ],
)
def test_intel_shares_by_the_counts_of_its_device_ids(counts_by_id: dict[str, str], physical: int, replicas: int) -> None:
    seen = look(slots={"gpu.intel.com/i915": 8}, labels={f"gpu.intel.com/{key}": value for key, value in counts_by_id.items()})
    assert (seen.physical, seen.physical_source, seen.slots.capacity, seen.replicas) == (physical, "label", 8, replicas)
    assert (seen.advertised, seen.sharing) == ("full", None if replicas > 1 else "exclusive")
    shown = {item.key.removeprefix("gpu.intel.com/"): item.value for item in seen.evidence if item.source == "label"}
    together = int(shown.pop("device.count", 0))
    assert physical in (together, sum(map(int, shown.values())))


@pytest.mark.parametrize("text", ["-1", "many", "", "99999999"])
def test_unreadable_intel_counts_count_nothing(text: str) -> None:
    seen = look(slots={"gpu.intel.com/i915": 2}, labels={"gpu.intel.com/device-id.0380-0bd5.count": text})
    assert (seen.physical, seen.physical_source) == (2, "capacity")


def test_intel_without_a_count_assumes_and_says_so() -> None:
    seen = look(slots={"gpu.intel.com/xe": 4})
    assert (seen.physical, seen.sharing) == (4, None)
    assert "physical_assumed" in {finding.rule for finding in seen.findings}


def test_gaudi() -> None:
    seen = look(slots={"habana.ai/gaudi": 8}, labels={"habana.ai/gaudi.product": "HL-225"})
    assert (seen.vendor, seen.product, seen.physical, seen.mode, seen.advertised) == ("habana", "HL-225", 8, "Full GPU", "full")


def test_two_vendors_in_one_node_are_not_added_up() -> None:
    assert look(slots={"nvidia.com/gpu": 4, "amd.com/gpu": 4}).physical is None


# --- virtual machines -------------------------------------------------------------------------------------------------


def test_vgpu_guest_says_that_its_gpus_are_shares() -> None:
    labels = {"nvidia.com/vgpu.present": "true", "nvidia.com/gpu.memory": "24512"}
    node = make_node(gpus=1, product="NVIDIA-A10-24Q", labels=labels)
    seen = inspect(NodeInputs(node=node, pods=(), plugin=None, devices=(), allocations=()))
    assert (seen.physical, seen.mode, seen.gpu_memory_mib) == (1, "Full GPU", 24512)
    assert "vgpu_guest" in {finding.rule for finding in seen.findings}
    assert "vGPUs, parts of GPUs on its host" in seen.isolation


def test_passthrough_cards() -> None:
    seen = look(slots={"nvidia.com/GA102GL_A10": 4}, labels={"feature.node.kubernetes.io/pci-10de.present": "true"})
    assert (seen.physical, seen.mode, seen.slots.capacity) == (4, "Passthrough to VMs", 4)


def test_vgpus_offered_to_machines_are_no_cards() -> None:
    seen = look(slots={"nvidia.com/NVIDIA_A10-12Q": 8})
    assert (seen.physical, seen.mode) == (None, "vGPUs for VMs")
    assert seen.isolation.startswith("A vGPU is a part of a GPU")


def test_renamed_by_another_plugin() -> None:
    node = make_node(gpus=8, capacity={"nvidia.com/gpu": None, "nvidia.com/h100": 8})
    seen = inspect(
        NodeInputs(node=node, pods=[make_pod(gpus=3, resource="nvidia.com/h100")], plugin=None, devices=(), allocations=())
    )
    assert (seen.physical, seen.slots.capacity, seen.slots.requested) == (8, 8, 3)
    assert [resource.name for resource in seen.resources] == ["nvidia.com/h100"]
