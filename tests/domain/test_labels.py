from __future__ import annotations

import pytest

from fleet.domain import labels, pci


@pytest.mark.parametrize(
    ("name", "kind", "vendor"),
    [
        ("nvidia.com/gpu", "gpu", "nvidia"),
        ("nvidia.com/gpu.shared", "shared", "nvidia"),
        ("nvidia.com/mig-1g.5gb", "mig", "nvidia"),
        ("nvidia.com/mig-1g.10gb.me", "mig", "nvidia"),
        ("nvidia.com/mig-1g.5gb.shared", "mig-shared", "nvidia"),
        ("nvidia.com/pgpu", "passthrough", "nvidia"),
        ("nvidia.com/GA102GL_A10", "passthrough", "nvidia"),
        ("nvidia.com/NVIDIA_A10-12Q", "vgpu", "nvidia"),
        ("nvidia.com/a100-team-b", "custom", "nvidia"),
        ("amd.com/gpu", "gpu", "amd"),
        ("amd.com/cpx_nps4", "partition", "amd"),
        ("gpu.intel.com/i915", "gpu", "intel"),
        ("gpu.intel.com/xe", "gpu", "intel"),
        ("habana.ai/gaudi", "gpu", "habana"),
        # what only looks like a GPU: its units are no devices
        ("nvidia.com/hostdev", "", ""),
        ("nvidia.com/rdma_shared_device_a", "", ""),
        ("nvidia.com/mlnxnics", "", ""),
        ("nvidia.com/gpumem", "", ""),
        ("nvidia.com/gpumem-percentage", "", ""),
        ("nvidia.com/gpucores", "", ""),
        ("nvidia.com/priority", "", ""),
        ("amd.com/nic", "", ""),
        ("gpu.intel.com/monitoring", "", ""),
        ("gpu.intel.com/i915_monitoring", "", ""),
        ("gpu.intel.com/millicores", "", ""),
        ("gpu.intel.com/memory.max", "", ""),
        ("rdma/hca_shared_devices_a", "", ""),
        ("vpc.amazonaws.com/efa", "", ""),
        ("google.com/tpu", "", ""),
        ("aws.amazon.com/neuron", "", ""),
        ("cpu", "", ""),
        ("nvidia.com/", "", ""),
        ("", "", ""),
    ],
)
def test_resources(name: str, kind: str, vendor: str) -> None:
    assert (labels.resource_kind(name), labels.vendor_of_resource(name)) == (kind, vendor)
    assert labels.is_gpu_resource(name) == bool(kind)


@pytest.mark.parametrize(
    ("label", "vendor"),
    [
        ("pci-10de.present", "nvidia"),
        ("pci-0302_10de.present", "nvidia"),
        ("pci-0300_10de.present", "nvidia"),
        ("pci-0302_10de_2330.present", "nvidia"),
        ("pci-0302_1002.present", "amd"),
        ("pci-1200_1002.present", "amd"),
        ("pci-0380_8086.present", "intel"),
        ("pci-1da3.present", "habana"),
        ("pci-0200_10de.present", ""),  # a network card
        ("pci-0403_10de.present", ""),  # the sound of a graphics card
        ("pci-0302_10de.sriov.capable", ""),
        ("pci-15b3.present", ""),  # Mellanox
        ("pci-1002.present", ""),  # an AMD bridge
        ("pci-8086.present", ""),  # an Intel network card
        ("pci-0200_8086.present", ""),
        ("pci-0300_8086.present", ""),  # the graphics of a server's CPU
        ("pci-1d0f.present", ""),
        ("cpu-model.vendor_id", ""),
    ],
)
def test_pci_labels(label: str, vendor: str) -> None:
    assert pci.pci_gpu_vendor("feature.node.kubernetes.io/" + label) == vendor


def test_dra_drivers() -> None:
    assert labels.is_gpu_driver("gpu.nvidia.com")
    assert not labels.is_gpu_driver("compute-domain.nvidia.com")
    assert not labels.is_gpu_driver("dra.net")
    assert labels.vendor_of_driver("gpu.amd.com") == "amd"
    assert labels.vendor_of_driver("gpu.example.com") == "other"
