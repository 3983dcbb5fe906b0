"""Nodes as other schedulers, clouds, drivers and vendors make them, each with what follows from what it shows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.devices.measured_gpus import MeasuredGpu
from fleet.domain.snapshot import NodeInfo
from tests.builders import make_node, make_pod
from tests.domain.looks import look

GPU = "nvidia.com/gpu"
TEGRA, WSL2 = "5.15.148-tegra", "5.15.153.1-microsoft-standard-WSL2"
MI300X = {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}
L4 = {"cloud.google.com/gke-accelerator": "nvidia-l4"}


def gfd(count: int, replicas: int = 1, **more: str) -> dict[str, str]:
    strategy = "time-slicing" if replicas > 1 else "none"
    written = {"present": "true", "count": str(count), "product": "NVIDIA-A100-SXM4-40GB", "replicas": str(replicas)}
    written["sharing-strategy"] = strategy
    return {f"nvidia.com/gpu.{name}": value for name, value in written.items()} | {
        f"nvidia.com/{name.replace('__', '.')}": value for name, value in more.items()
    }


# situation, capacity, labels, (GPUs, sharing, slots, advertised); a kernel or a number of GPUs in DCGM where one matters
NODES: list[tuple[str, dict[str, int], dict[str, str], tuple[int | None, str | None, int | None, str], str | int]] = [
    ("aliyun by memory", {"aliyun.com/gpu-mem": 80}, {}, (None, None, None, "unknown"), ""),
    ("aliyun by count", {"aliyun.com/gpu-count": 4, "aliyun.com/gpu-mem": 96}, {}, (4, None, 4, "full"), ""),
    ("volcano", {"volcano.sh/vgpu-number": 20, "volcano.sh/vgpu-memory": 99, GPU: 0}, {}, (None, None, 20, "unknown"), ""),
    ("volcano by count", {"volcano.sh/gpu-number": 4}, {}, (4, None, 4, "full"), ""),
    ("tencent, broken number", {"tencent.com/vcuda-core": 250}, {}, (None, None, None, "unknown"), ""),
    ("tencent", {"tencent.com/vcuda-core": 300, "tencent.com/vcuda-memory": 300}, {}, (3, None, None, "full"), ""),
    ("qgpu", {"tke.cloud.tencent.com/qgpu-core": 400}, {}, (4, None, None, "full"), ""),
    ("elastic gpu", {"elasticgpu.io/gpu-core": 200, "elasticgpu.io/gpu-memory": 80}, {}, (2, None, None, "full"), ""),
    ("koordinator", {"koordinator.sh/gpu-core": 800, "koordinator.sh/gpu-memory-ratio": 800}, {}, (8, None, None, "full"), ""),
    ("koordinator beside slots", {"koordinator.sh/gpu-core": 800, GPU: 8}, {}, (8, None, 8, "full"), ""),
    ("hami, bare", {GPU: 20, "nvidia.com/gpumem": 999, "nvidia.com/gpucores": 2000}, {}, (None, None, 20, "unknown"), ""),
    ("hami by its label", {GPU: 40}, {"gpu": "on"}, (None, None, 40, "unknown"), ""),
    ("nos, three sizes", {f"nvidia.com/gpu-{size}gb": 2 for size in (5, 10, 20)}, gfd(2), (2, None, 6, "full"), ""),
    ("jetson", {GPU: 1}, {}, (1, "exclusive", 1, "full"), TEGRA),
    ("jetson with shares", {GPU: 10}, {}, (1, None, 10, "full"), TEGRA),
    ("wsl2", {GPU: 1}, {}, (1, "exclusive", 1, "full"), WSL2),
    ("wsl2, shared", {GPU: 4}, gfd(1, 4), (1, "time-slicing", 4, "full"), WSL2),
    ("no label, a plausible number", {GPU: 16}, {}, (16, None, 16, "full"), ""),
    ("no label, no machine has so many", {GPU: 100}, {}, (None, None, 100, "unknown"), ""),
    ("no label, dcgm agrees", {GPU: 8}, {}, (8, "exclusive", 8, "full"), 8),
    ("shared, dcgm agrees", {GPU: 80}, gfd(8, 10), (8, "time-slicing", 80, "full"), 8),
    ("shared, dcgm lacks one", {GPU: 80}, gfd(8, 10), (8, "time-slicing", 80, "full"), 7),
    ("one slot is missing", {GPU: 7}, gfd(8), (8, "exclusive", 7, "partial"), 7),
    ("gpus were removed", {GPU: 0}, {**gfd(8), "nvidia.com/gpu.present": "false"}, (0, None, 0, "none"), ""),
    ("gke time-sharing", {GPU: 8}, {**L4, "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing",
     "cloud.google.com/gke-max-shared-clients-per-gpu": "4"}, (2, "time-slicing", 8, "full"), ""),
    ("gke mig", {GPU: 7}, {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100", "cloud.google.com/gke-accelerator-count": "1",
     "cloud.google.com/gke-gpu-partition-size": "1g.5gb"}, (1, "exclusive", 7, "full"), ""),
    ("coreweave", {GPU: 8}, {"gpu.nvidia.com/count": "8", "gpu.nvidia.com/model": "H100_NVLINK_80GB"},
     (8, "exclusive", 8, "full"), ""),
    ("amd", {"amd.com/gpu": 8}, MI300X, (8, "exclusive", 8, "full"), ""),
    ("amd, partitioned", {"amd.com/gpu": 64}, {**MI300X, "amd.com/gpu.compute-memory-partition": "cpx_nps1"},
     (8, "exclusive", 64, "full"), ""),
    ("amd, two modes", {"amd.com/cpx_nps4": 32, "amd.com/spx_nps1": 4}, MI300X, (None, "exclusive", 36, "unknown"), ""),
    ("gaudi", {"habana.ai/gaudi": 8}, {}, (8, "exclusive", 8, "full"), ""),
    ("intel, shared", {"gpu.intel.com/i915": 30}, {"gpu.intel.com/device.count": "3"}, (3, None, 30, "full"), ""),
    ("passthrough", {"nvidia.com/GA102GL_A10": 2, GPU: 0}, {}, (2, "exclusive", 2, "full"), ""),
    ("vgpus", {"nvidia.com/NVIDIA_A40-12Q": 8}, {}, (None, "exclusive", 8, "unknown"), ""),
    ("kata", {"nvidia.com/pgpu": 8}, {"nvidia.feature.node.kubernetes.io/gpu": "true"}, (8, "exclusive", 8, "full"), ""),
    ("shares of instances", {"nvidia.com/mig-1g.10gb.shared": 28},
     gfd(2, **{"mig.strategy": "mixed", "mig-1g.10gb.count": "14", "mig-1g.10gb.replicas": "2"}),
     (2, "time-slicing", 28, "full"), ""),
    ("two vendors", {GPU: 4, "amd.com/gpu": 4}, {}, (None, None, 4, "unknown"), ""),
    ("graphics of the processor", {GPU: 2, "gpu.intel.com/i915": 10}, gfd(2), (2, "exclusive", 2, "full"), ""),
    ("shares without a label", {GPU: 0, "nvidia.com/gpu.shared": 128}, {}, (None, None, 128, "unknown"), ""),
    ("gke mps", {GPU: 6}, {**L4, "cloud.google.com/gke-gpu-sharing-strategy": "mps",
     "cloud.google.com/gke-max-shared-clients-per-gpu": "3"}, (2, "mps", 6, "full"), ""),
    ("gke mig, time-sharing", {GPU: 12}, {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100",
     "cloud.google.com/gke-accelerator-count": "1", "cloud.google.com/gke-gpu-partition-size": "2g.10gb",
     "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing", "cloud.google.com/gke-max-shared-clients-per-gpu": "4"},
     (1, "time-slicing", 12, "full"), ""),
    ("eks auto mode", {GPU: 4}, {"eks.amazonaws.com/instance-gpu-count": "4", "eks.amazonaws.com/instance-gpu-name": "l40s",
     "eks.amazonaws.com/instance-gpu-manufacturer": "nvidia"}, (4, "exclusive", 4, "full"), ""),
    ("a count below zero", {GPU: 8}, {**gfd(8), "nvidia.com/gpu.count": "-8"}, (8, "exclusive", 8, "full"), 8),
    ("replicas in words", {GPU: 8}, {**gfd(2), "nvidia.com/gpu.replicas": "four"}, (2, None, 8, "full"), ""),
    ("amd, two partitions a gpu", {"amd.com/gpu": 16}, {**MI300X, "amd.com/gpu.compute-memory-partition": "dpx_nps2"},
     (8, "exclusive", 16, "full"), ""),
    ("amd by its old labeller", {"amd.com/gpu": 4}, {"beta.amd.com/gpu.product-name.AMD_Instinct_MI210": "4"},
     (4, "exclusive", 4, "full"), ""),
    ("intel's monitoring is no slot", {"gpu.intel.com/xe": 2, "gpu.intel.com/xe_monitoring": 1}, {}, (2, None, 2, "full"), ""),
    ("half cut, the rest shared", {GPU: 8, "nvidia.com/mig-1g.10gb": 28},
     gfd(8, 2, **{"mig.strategy": "mixed", "mig-1g.10gb.count": "28", "mig-1g.10gb.replicas": "1"}),
     (8, "time-slicing", 36, "unknown"), ""),
    ("no slots yet", {}, {"karpenter.k8s.aws/instance-gpu-count": "8", "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia"},
     (8, None, None, "unknown"), ""),
    ("a bus address alone", {}, {"feature.node.kubernetes.io/pci-10de.present": "true"}, (None, None, None, "unknown"), ""),
]  # fmt: skip


@pytest.mark.parametrize(("capacity", "labels", "answer", "more"), [row[1:] for row in NODES], ids=[row[0] for row in NODES])
def test_what_a_node_shows_and_nothing_more(
    capacity: dict[str, int], labels: dict[str, str], answer: tuple[Any, ...], more: str | int
) -> None:
    node = msgspec.structs.replace(make_node(gpus=0, gfd=False), labels=labels)
    amounts = {name: str(amount) for name, amount in capacity.items()}
    node = msgspec.structs.replace(node, capacity=amounts, allocatable=amounts)
    if isinstance(more, str):
        node = msgspec.structs.replace(node, node_info=NodeInfo(kernel=more))
    measured = tuple(MeasuredGpu(uuid=f"GPU-{number}") for number in range(more if isinstance(more, int) else 0))
    assert bool(gpu_evidence(node)) is (labels.get("nvidia.com/gpu.present") != "false")
    seen = look(node, measured_gpus=measured)
    assert (seen.physical, seen.sharing, seen.slots.capacity, seen.advertised) == answer
    assert (seen.advertised_gpus is None) is (seen.advertised == "unknown"), "no number without a state"


@pytest.mark.parametrize(
    ("capacity", "labels"),
    [
        ({"aws.amazon.com/neuron": 16}, {"node.kubernetes.io/instance-type": "trn1.32xlarge"}),
        (
            {"google.com/tpu": 4},
            {"cloud.google.com/gke-tpu-accelerator": "tpu-v5p", "cloud.google.com/gke-accelerator-count": "4"},
        ),
        ({"nvidia.com/hostdev": 8, "rdma/hca": 8}, {"feature.node.kubernetes.io/pci-0200_15b3.present": "true"}),
        ({"koordinator.sh/gpu-core": 800, "huawei.com/npu-core": 800}, {}),
        ({"amd.com/xilinx_u30-0": 2}, {}),
        (
            {},
            {"karpenter.k8s.aws/instance-accelerator-count": "16", "karpenter.k8s.aws/instance-accelerator-manufacturer": "aws"},
        ),
    ],
)
def test_what_is_no_gpu_makes_no_gpu_node(capacity: dict[str, int], labels: dict[str, str]) -> None:
    node = make_node(gpus=0, gfd=False, capacity=capacity)
    assert not gpu_evidence(msgspec.structs.replace(node, labels=labels))


def test_memory_that_pods_hold_leaves_the_slots_in_use_unknown() -> None:
    node = make_node(gpus=0, gfd=False, capacity={"volcano.sh/vgpu-number": 10, "volcano.sh/vgpu-memory": 1000})
    seen = look(node, pods=[make_pod("holder", gpus=100, resource="volcano.sh/vgpu-memory")])
    assert (seen.slots.capacity, seen.slots.requested, seen.slots.free) == (10, None, None)


@pytest.mark.parametrize("text", ["[" * 8_000, "[" * 8_000 + "]" * 8_000, '[{"id":' * 2_000])
def test_an_annotation_of_brackets_is_no_annotation(text: str) -> None:
    """A kubelet writes its own node's annotations: it must not end the evaluation of the others."""
    node = msgspec.structs.replace(make_node(gpus=2), annotations={"hami.io/node-nvidia-register": text})
    assert look(node).physical == 2
