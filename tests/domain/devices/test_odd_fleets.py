"""Fleets as people run them: labels of other clouds and tools, several models in a node, names that round differently."""

from __future__ import annotations

import msgspec
import pytest

from fleet.domain import labels
from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.devices.measured_gpus import MeasuredGpu, SeenInstance
from fleet.domain.devices.mig import find_same, is_same
from fleet.domain.snapshot import DevicePluginConfig, DevicePluginConfigs
from tests.builders import make_node, make_plugin_config, make_pod
from tests.domain.looks import A100, ids, look

GPU = "nvidia.com/gpu"
NFD = "feature.node.kubernetes.io/pci-"


@pytest.mark.parametrize(
    ("key", "value", "vendor"),
    [
        ("karpenter.k8s.gcp/instance-gpu-count", "1", "nvidia"),
        ("karpenter.k8s.gcp/instance-gpu-name", "nvidia-l4", "nvidia"),
        ("karpenter.k8s.alibabacloud/instance-gpu-count", "2", ""),
        ("karpenter.k8s.aws/instance-gpu-count", "8", ""),
        ("karpenter.azure.com/sku-gpu-count", "4", ""),
        (NFD + "10de_2330.present", "true", "nvidia"),
        (NFD + "10de_2330_10de_16c1.present", "true", "nvidia"),
        (NFD + "0302_10de_2330.present", "true", "nvidia"),
        (NFD + "1002_74a1.present", "true", "amd"),
        (NFD + "8086_0bda.present", "true", "intel"),
        (NFD + "1da3_1060.present", "true", "habana"),
        ("nvidia.feature.node.kubernetes.io/gpu", "true", "nvidia"),
        ("amd.feature.node.kubernetes.io/gpu", "true", "amd"),
        ("intel.feature.node.kubernetes.io/gpu", "true", "intel"),
    ],
)
def test_one_label_alone_makes_a_gpu_node(key: str, value: str, vendor: str) -> None:
    node = make_node(gpus=0, gfd=False, labels={key: value}, capacity={})
    assert gpu_evidence(node)
    assert look(node).vendor == vendor


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("karpenter.k8s.gcp/instance-gpu-count", "0"),
        ("karpenter.k8s.gcp/instance-gpu-count", "many"),
        ("karpenter.k8s.gcp/instance-family", "g2"),
        ("karpenter.k8s.aws/instance-accelerator-count", "1"),
        (NFD + "10de_22a3.present", "true"),
        (NFD + "15b3_1021.present", "true"),
        (NFD + "1002_1478.present", "true"),
        (NFD + "8086_46a6.present", "true"),
        (NFD + "10de_2330.present", "false"),
        (NFD + "10de_.present", "true"),
        ("nvidia.feature.node.kubernetes.io/gpu", "false"),
        ("nvidia.feature.node.kubernetes.io/cc.capable", "true"),
    ],
)
def test_labels_of_other_devices_make_no_gpu_node(key: str, value: str) -> None:
    assert not gpu_evidence(make_node(gpus=0, gfd=False, labels={key: value}, capacity={}))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("3g.20gb", "3g.21gb", True),
        ("7g.79gb", "7g.80gb", True),
        ("1g.23gb", "1g.24gb", True),
        ("7g.186gb", "7g.189gb", True),
        ("1g.10gb+me", "1g.11gb+me", True),
        ("1g.10gb", "1g.10gb+me", False),
        ("2g.10gb", "2g.12gb", False),
        ("3g.20gb", "4g.20gb", False),
        ("1c.3g.20gb", "3g.20gb", False),
        ("garbage", "1g.5gb", False),
    ],
)
def test_profiles_that_differ_by_rounding_alone_are_one(first: str, second: str, *, same: bool) -> None:
    assert is_same(first, second) is is_same(second, first) is same


def test_a_profile_that_could_be_two_others_is_neither() -> None:
    assert find_same("3g.21gb", ["3g.20gb", "3g.22gb"]) == ""
    assert find_same("3g.20gb", ["3g.20gb", "3g.21gb"]) == "3g.20gb"


@pytest.mark.parametrize(("labelled", "advertised"), [("3g.21gb", "3g.20gb"), ("3g.20gb", "3g.21gb"), ("3g.40gb", "3g.39gb")])
def test_labels_that_round_a_profile_otherwise_describe_the_same_instances(labelled: str, advertised: str) -> None:
    node = make_node(
        gpus=8,
        product=A100,
        labels={"nvidia.com/mig.strategy": "mixed", f"nvidia.com/mig-{labelled}.count": "16", "nvidia.com/gpu.replicas": "0"},
        capacity={GPU: 0, f"nvidia.com/mig-{advertised}": 16},
    )
    seen = look(node)
    assert (seen.physical, seen.mig_instances, seen.slots.capacity, seen.advertised) == (8, {advertised: 16}, 16, "full")
    assert not ids(seen) & {"labels_disagree_with_resources", "nothing_advertised", "phantom_slots"}


def test_two_profiles_that_are_both_labelled_stay_two() -> None:
    node = make_node(
        gpus=2,
        labels={"nvidia.com/mig-1g.23gb.count": "7", "nvidia.com/mig-1g.24gb.count": "4", "nvidia.com/gpu.replicas": "0"},
        capacity={GPU: 0, "nvidia.com/mig-1g.23gb": 7, "nvidia.com/mig-1g.24gb": 4},
    )
    assert look(node).mig_instances == {"1g.23gb": 7, "1g.24gb": 4}


A30 = MeasuredGpu(
    uuid="GPU-a30",
    product="NVIDIA-A30",
    memory_mib=24576,
    instances=tuple(SeenInstance(gi_id=str(number), profile="1g.6gb") for number in range(3, 7)),
)
ADA = tuple(MeasuredGpu(uuid=f"GPU-ada{number}", product="NVIDIA-RTX-2000-Ada-Generation") for number in range(2))


def test_gpus_of_two_models_take_mode_and_memory_of_their_own() -> None:
    node = make_node(
        gpus=1,
        product="NVIDIA-A30",
        labels={
            "nvidia.com/gpu.memory": "24576",
            "nvidia.com/mig.strategy": "mixed",
            "nvidia.com/mig-1g.6gb.count": "4",
            "nvidia.com/gpu.replicas": "0",
        },
        capacity={GPU: 2, "nvidia.com/mig-1g.6gb": 4},
    )
    seen = look(node, measured_gpus=(A30, *ADA))
    assert (seen.physical, seen.slots.capacity, seen.mig_instances) == (3, 6, {"1g.6gb": 4})
    assert {card.uuid: (card.product, card.memory_mib) for card in seen.cards} == {
        "GPU-a30": ("NVIDIA-A30", 24576),
        "GPU-ada0": ("NVIDIA-RTX-2000-Ada-Generation", None),
        "GPU-ada1": ("NVIDIA-RTX-2000-Ada-Generation", None),
    }
    assert next(card.mig_enabled for card in seen.cards) is True
    assert not any(card.mig_enabled for card in seen.cards[1:])


def test_whole_gpus_beside_instances_that_fill_every_gpu_are_phantoms() -> None:
    node = make_node(
        gpus=1,
        product="NVIDIA-A30",
        labels={"nvidia.com/mig.strategy": "mixed", "nvidia.com/mig-1g.6gb.count": "4", "nvidia.com/gpu.replicas": "0"},
        capacity={GPU: 1, "nvidia.com/mig-1g.6gb": 4},
    )
    seen = look(node, measured_gpus=(A30,))
    assert (seen.slots.capacity, "phantom_slots" in ids(seen)) == (4, True)


@pytest.mark.parametrize(
    ("node_labels", "capacity", "physical", "partitioned"),
    [
        ({"dcm.amd.com/gpu-config-profile": "cpx-nps4", "dcm.amd.com/gpu-config-profile-state": "success"}, 63, None, True),
        ({"dcm.amd.com/gpu-config-profile": "cpx-nps4", "dcm.amd.com/gpu-config-profile-state": "success"}, 64, 8, True),
        ({"dcm.amd.com/gpu-config-profile": "cpx-nps4", "dcm.amd.com/gpu-config-profile-state": "failure"}, 8, 8, False),
        ({}, 63, None, True),
        ({}, 8, 8, False),
    ],
)
def test_amd_partitions_under_the_name_of_whole_gpus(
    node_labels: dict[str, str], capacity: int, physical: int | None, *, partitioned: bool
) -> None:
    product = {labels.AMD_PRODUCT: "AMD_Instinct_MI300X_OAM"}
    seen = look(make_node(gpus=0, gfd=False, labels=product | node_labels, capacity={"amd.com/spx_nps1": capacity}))
    assert seen.physical == physical
    assert seen.mode.startswith("Partitioned") is partitioned


def test_labels_of_a_display_gpu_and_a_configuration_that_explain_no_slots_leave_the_number_open() -> None:
    config = DevicePluginConfig(namespace="n", config_map="c", key="k", sharing="time-slicing", replicas={GPU: 4})
    plugin = DevicePluginConfigs(configs=(config,), default_key="k")
    seen = look(make_node(gpus=1, product="NVIDIA-DGX-Display", capacity={GPU: 17}), plugin=plugin)
    assert (seen.physical, seen.slots.capacity, seen.sharing, seen.advertised) == (None, 17, "time-slicing", "unknown")


def test_a_gpu_count_beside_the_usual_resource_counts_no_gpu_twice() -> None:
    node = make_node(gpus=0, gfd=False, capacity={GPU: 4, "volcano.sh/gpu-number": 4})
    seen = look(msgspec.structs.replace(node))
    assert (seen.physical, seen.slots.capacity) == (4, 4)


def test_more_whole_gpus_than_the_labels_count_are_of_another_model_and_no_phantoms() -> None:
    node = make_node(
        gpus=1,
        product="NVIDIA-A30",
        labels={"nvidia.com/mig.strategy": "mixed", "nvidia.com/mig-1g.6gb.count": "4", "nvidia.com/gpu.replicas": "0"},
        capacity={GPU: 2, "nvidia.com/mig-1g.6gb": 4},
    )
    seen = look(node)
    assert (seen.physical, seen.slots.capacity, seen.advertised) == (None, 6, "unknown")
    assert "phantom_slots" not in ids(seen)


def test_labels_of_a_display_gpu_count_no_gpu() -> None:
    assert look(make_node(gpus=1, product="NVIDIA-DGX-Display", capacity={GPU: 17})).physical is None


def test_more_amd_gpus_than_a_machine_holds_are_partitions() -> None:
    seen = look(make_node(gpus=0, gfd=False, labels={labels.AMD_PRODUCT: "AMD_Instinct_MI300X"}, capacity={labels.AMD_GPU: 64}))
    assert (seen.physical, seen.mode) == (None, "Partitioned")


def listed(gpus: int) -> tuple[MeasuredGpu, ...]:
    return tuple(MeasuredGpu(uuid=f"GPU-{number}", pci_bus_id=f"0000:{number:02x}:00.0") for number in range(gpus))


@pytest.mark.parametrize(
    ("capacity", "gpus", "physical"),
    [
        ({GPU: 8}, 4, (4, True)),
        ({GPU: 8}, 3, (3, True)),
        ({GPU: 8}, 8, (8, False)),
        ({GPU: 8}, 9, (9, False)),
        ({"nvidia.com/a100": 4}, 2, (2, True)),
        ({"nvidia.com/gpu.shared": 8}, 4, (4, False)),
    ],
)
def test_gpus_that_dcgm_lists_are_the_least_where_nothing_explains_more_slots(
    capacity: dict[str, int], gpus: int, physical: tuple[int, bool]
) -> None:
    """More slots than listed GPUs are shares, or GPUs that the exporter does not see: the name `.shared` says which."""
    seen = look(make_node(gpus=0, gfd=False, capacity=capacity), measured_gpus=listed(gpus))
    assert (seen.physical, seen.physical_is_lower_bound) == physical
    if physical[1]:
        assert (seen.advertised, seen.advertised_gpus, seen.sharing) == ("unknown", None, None)
        (finding,) = [item for item in seen.findings if item.rule == "physical_lower_bound"]
        assert finding.text == (
            f"At least {gpus} physical GPUs: DCGM lists that many, and nothing explains why more slots are advertised."
        )


def test_a_configuration_that_explains_the_slots_makes_the_number_of_gpus_exact() -> None:
    plugin = make_plugin_config(sharing="time-slicing", replicas=2)
    seen = look(make_node(gpus=0, gfd=False, capacity={GPU: 8}), plugin=plugin, measured_gpus=listed(4))
    assert (seen.physical, seen.physical_is_lower_bound, seen.replicas, seen.advertised) == (4, False, 2, "full")


@pytest.mark.parametrize("name", sorted(labels.DIRECTX))
@pytest.mark.parametrize(
    "more",
    [{}, {"kubernetes.azure.com/accelerator": "nvidia"}, {"feature.node.kubernetes.io/pci-10de.present": "true"}],
    ids=["bare", "accelerator", "pci"],
)
def test_windows_nodes_offer_gpus_of_any_vendor_through_directx(name: str, more: dict[str, str]) -> None:
    """Its plugins share GPUs without a trace on the node, so that slots are counted and GPUs are not."""
    node = make_node(gpus=0, gfd=False, capacity={name: 4}, labels={"kubernetes.io/os": "windows", **more})
    assert gpu_evidence(node)
    seen = look(node, pods=[make_pod("render", gpus=1, resource=name)])
    assert (seen.physical, seen.sharing, seen.replicas) == (None, None, None)
    assert (seen.slots.capacity, seen.slots.requested, seen.slots.free) == (4, 1, 3)
    assert seen.vendor == ("nvidia" if more else "other")
    assert "nothing_advertised" not in ids(seen)
    assert "nothing is shared" not in seen.isolation


def test_a_directx_resource_at_zero_proves_no_gpu() -> None:
    assert not gpu_evidence(make_node(gpus=0, gfd=False, capacity={"microsoft.com/directx": 0}))
