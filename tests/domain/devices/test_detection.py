from __future__ import annotations

import pytest

from fleet.domain.devices.detection import gpu_evidence, is_gpu_device, machine_type, zone
from fleet.domain.devices.sources import cloud
from tests.builders import make_dra_device, make_node

NFD = "feature.node.kubernetes.io/"


@pytest.mark.parametrize(
    "labels",
    [
        {"nvidia.com/gpu.present": "true"},
        {"nvidia.com/gpu.product": "Tesla-T4"},
        {"nvidia.com/gpu.count": "4"},
        {"nvidia.com/mig-1g.10gb.count": "7"},
        {NFD + "pci-10de.present": "true"},
        {NFD + "pci-0302_10de.present": "true"},
        {NFD + "pci-0380_1002.present": "true"},
        {NFD + "amd-gpu": "true"},
        {"intel.feature.node.kubernetes.io/gpu": "true"},
        {"cloud.google.com/gke-accelerator": "nvidia-l4"},
        {"karpenter.k8s.aws/instance-gpu-count": "1"},
        {"eks.amazonaws.com/instance-gpu-name": "t4"},
        {"k8s.amazonaws.com/accelerator": "nvidia-tesla-v100"},
        {"kubernetes.azure.com/accelerator": "nvidia"},
        {"accelerator": "nvidia"},
        {"karpenter.azure.com/sku-gpu-count": "2"},
        {"gpu.nvidia.com/model": "H100"},
        {"amd.com/gpu.product-name": "AMD_Instinct_MI210"},
        {"beta.amd.com/gpu.family.AI": "8"},
        {"gpu.intel.com/device.count": "1"},
        {"gpu.intel.com/device-id.0380-56c0.present": "true"},
        {"habana.ai/gaudi.product": "HL-225"},
    ],
)
def test_labels_that_prove_an_unadvertised_gpu(labels: dict[str, str]) -> None:
    (evidence,) = gpu_evidence(make_node(gpus=0, labels=labels))
    assert {evidence.key: evidence.value} == labels
    assert evidence.source == "label"


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"nvidia.com/gpu.present": "false"},
        {"nvidia.com/gpu.present": "false", "nvidia.com/gpu.count": "1", "nvidia.com/gpu.product": "Tesla-T4"},
        {"nvidia.com/gpu.count": "0"},
        {"nvidia.com/gpu.deploy.operands": "false"},
        {"nvidia.com/mig.config": "all-disabled"},
        {NFD + "pci-10de.present": "false"},
        {NFD + "pci-15b3.present": "true"},
        {NFD + "pci-1002.present": "true"},
        {NFD + "pci-8086.present": "true"},
        {NFD + "pci-0200_8086.present": "true"},
        {"cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite"},
        {"cloud.google.com/gke-accelerator-count": "0"},
        {"cloud.google.com/gke-accelerator-count": "4"},
        {"cloud.google.com/gke-accelerator-count": "4", "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice"},
        {"cloud.google.com/gke-accelerator-count": "4", "cloud.google.com/gke-accelerator": "tpu-v5-lite-podslice"},
        {"k8s.amazonaws.com/accelerator": "inferentia2"},
        {"karpenter.k8s.aws/instance-gpu-count": "0"},
        {"karpenter.k8s.aws/instance-accelerator-name": "trainium"},
        {"accelerator": "none"},
        {"gpu.intel.com/device.count": "0"},
        {"beta.amd.com/gpu.family.AI": "0"},
    ],
)
def test_labels_that_prove_nothing(labels: dict[str, str]) -> None:
    assert gpu_evidence(make_node(gpus=0, labels=labels)) == ()


def test_a_tpu_node_is_no_gpu_node_and_its_chips_are_no_gpus() -> None:
    fields = {"cloud.google.com/gke-accelerator-count": "4", "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice"}
    node = make_node(gpus=0, labels=fields, capacity={"google.com/tpu": 4})
    assert gpu_evidence(node) == ()
    assert cloud.read(node.labels).count is None


def test_gkes_count_is_the_number_of_gpus_of_a_gpu_node() -> None:
    fields = {"cloud.google.com/gke-accelerator-count": "4", "cloud.google.com/gke-accelerator": "nvidia-l4"}
    assert cloud.read(fields).count == 4
    assert {evidence.key for evidence in gpu_evidence(make_node(gpus=0, labels=fields))} == {"cloud.google.com/gke-accelerator"}


@pytest.mark.parametrize(
    "name", ["nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "nvidia.com/gpu.shared", "amd.com/gpu", "gpu.intel.com/xe"]
)
def test_resources_prove_by_their_number_not_by_their_name(name: str) -> None:
    assert gpu_evidence(make_node(gpus=0, capacity={name: 0})) == ()
    assert {evidence.source for evidence in gpu_evidence(make_node(gpus=0, capacity={name: 1}))} == {"capacity", "allocatable"}


def test_an_unreadable_number_proves_nothing() -> None:
    assert gpu_evidence(make_node(gpus=0, capacity={"nvidia.com/gpu": "many"})) == ()


def test_pci_outlives_a_denial() -> None:
    labels = {"nvidia.com/gpu.present": "false", "nvidia.com/gpu.count": "8", NFD + "pci-10de.present": "true"}
    assert [evidence.key for evidence in gpu_evidence(make_node(gpus=0, labels=labels))] == [NFD + "pci-10de.present"]


def test_slices_of_gpu_drivers_prove() -> None:
    node = make_node(gpus=0)
    assert gpu_evidence(node, [make_dra_device(0)])[0].source == "resource_slice"
    assert gpu_evidence(node, [make_dra_device(0, node="another")]) == ()
    assert gpu_evidence(node, [make_dra_device(0, driver="compute-domain.nvidia.com", type="channel")]) == ()
    assert gpu_evidence(node, [make_dra_device(0, driver="dra.net", type="nic")]) == ()


def test_machine_type_and_zone_by_old_labels_too() -> None:
    assert machine_type({"beta.kubernetes.io/instance-type": "p5"}) == "p5"
    assert machine_type({"node.kubernetes.io/instance-type": "p5e", "beta.kubernetes.io/instance-type": "p5"}) == "p5e"
    assert zone({"failure-domain.beta.kubernetes.io/zone": "a"}) == "a"
    assert zone({}) == ""


INSTANCE, MACHINE = "node.kubernetes.io/instance-type", "nvidia.com/gpu.machine"


@pytest.mark.parametrize("distribution", ["k3s", "rke2"])
def test_the_name_of_a_distribution_is_no_machine_type(distribution: str) -> None:
    assert machine_type({INSTANCE: distribution}) == ""
    assert machine_type({INSTANCE: distribution, MACHINE: "DGX-1"}) == "DGX-1"
    assert machine_type({"beta.kubernetes.io/instance-type": distribution, MACHINE: "DGX-1"}) == "DGX-1"


@pytest.mark.parametrize("machine", ["unknown", "Virtual-Machine", "Google-Compute-Engine", "Standard-PC-Q35-ICH9-2009"])
def test_a_hypervisors_word_for_every_machine_is_no_machine_type(machine: str) -> None:
    assert machine_type({INSTANCE: "k3s", MACHINE: machine}) == ""
    assert machine_type({INSTANCE: "p5", MACHINE: machine}) == "p5"


def test_machines_that_take_any_number_of_gpus_differ_by_it() -> None:
    def gke(instance: str, **fields: str) -> str:
        return machine_type(
            {INSTANCE: instance, **{f"cloud.google.com/gke-{key.replace('_', '-')}": fields[key] for key in fields}}
        )

    assert gke("n1-standard-16", accelerator="nvidia-tesla-t4", accelerator_count="1") == "n1-standard-16 ×1 GPU"
    assert gke("n1-standard-16", accelerator="nvidia-tesla-t4", accelerator_count="4") == "n1-standard-16 ×4 GPUs"
    assert gke("n1-standard-16", accelerator="nvidia-tesla-t4") == "n1-standard-16"
    assert gke("n1-standard-16") == "n1-standard-16"
    assert gke("g2-standard-24", accelerator="nvidia-l4", accelerator_count="2") == "g2-standard-24"


@pytest.mark.parametrize(
    ("driver", "kind", "is_gpu"),
    [
        ("gpu.nvidia.com", "gpu", True),
        ("gpu.nvidia.com", "channel", False),
        ("gpu.nvidia.com", "daemon", False),
        ("compute-domain.nvidia.com", "gpu", False),
        ("gpu.example.com", "mig", True),
        ("net.example.com", "nic", False),
    ],
)
def test_a_device_of_dra_is_a_gpu_by_driver_and_type(driver: str, kind: str, is_gpu: bool) -> None:
    assert is_gpu_device(make_dra_device(0, driver=driver, type=kind)) is is_gpu
