"""Nodes as a real API server answered them, every one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.devices.inspection import NodeDevices, NodeInputs, inspect
from fleet.domain.snapshot import (
    Condition,
    DevicePluginConfig,
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    NodeSnapshot,
)

RECORDED = Path(__file__).parents[2] / "recorded" / "kubernetes"
NODES = {path.stem.removeprefix("node_"): path for path in sorted(RECORDED.glob("node_*.json"))}
# What the recorded ConfigMap says, read by eye.
PLUGIN = DevicePluginConfigs(
    configs=tuple(
        DevicePluginConfig(
            namespace="gpu-operator",
            config_map="time-slicing-config",
            key=key,
            sharing=sharing,
            rename_by_default=renamed,
            replicas={"nvidia.com/gpu": replicas},
        )
        for key, sharing, replicas, renamed in (
            ("l40s-mps", "mps", 10, False),
            ("tesla-t4", "time-slicing", 4, False),
            ("tesla-t4-renamed", "time-slicing", 4, True),
        )
    )
)


def recorded(name: str) -> NodeSnapshot:
    body = json.loads(NODES[name].read_bytes())["body"]
    return NodeSnapshot(
        name=body["metadata"]["name"],
        uid=body["metadata"]["uid"],
        labels=body["metadata"]["labels"],
        unschedulable=body["spec"].get("unschedulable", False),
        capacity=body["status"]["capacity"],
        allocatable=body["status"]["allocatable"],
        conditions=tuple(
            Condition(type=condition["type"], status=condition["status"], reason=condition["reason"])
            for condition in body["status"]["conditions"]
        ),
    )


def recorded_dra() -> tuple[list[DraDevice], list[DraAllocation]]:
    slices = json.loads((RECORDED / "resourceslices_list.json").read_bytes())["body"]["items"]
    devices = []
    for piece in slices:
        spec = piece["spec"]
        for device in spec["devices"]:
            fields: dict[str, Any] = {key: next(iter(value.values())) for key, value in device["attributes"].items()}
            memory = device.get("capacity", {}).get("memory", {}).get("value", "")
            devices.append(
                DraDevice(
                    driver=spec["driver"],
                    pool=spec["pool"]["name"],
                    name=device["name"],
                    node_name=spec["nodeName"],
                    type=fields.get("type", ""),
                    uuid=fields.get("uuid", ""),
                    product=fields.get("productName", ""),
                    architecture=fields.get("architecture", ""),
                    memory_bytes=int(memory.removesuffix("Mi")) * 1024**2 if memory else None,
                    driver_version=fields.get("driverVersion", ""),
                    cuda_version=fields.get("cudaDriverVersion", ""),
                    pci_bus_id=fields.get("resource.kubernetes.io/pciBusID", ""),
                )
            )
    claims = json.loads((RECORDED / "resourceclaims_list.json").read_bytes())["body"]["items"]
    held = [
        DraAllocation(
            namespace=claim["metadata"]["namespace"],
            claim=claim["metadata"]["name"],
            driver=result["driver"],
            pool=result["pool"],
            device=result["device"],
        )
        for claim in claims
        for result in claim["status"]["allocation"]["devices"]["results"]
    ]
    return devices, held


def look(name: str, **given: Any) -> NodeDevices:
    sections: dict[str, Any] = {"pods": (), "plugin": PLUGIN, "devices": (), "allocations": ()}
    return inspect(NodeInputs(node=recorded(name), **(sections | given)))


@pytest.mark.parametrize(
    ("name", "product", "memory", "physical", "mode", "capacity", "allocatable", "advertised"),
    [
        ("h100", "NVIDIA-H100-80GB-HBM3", 81559, 8, "Full GPU", 8, 8, "full"),
        ("h100__gpu-lost", "NVIDIA-H100-80GB-HBM3", 81559, 8, "Full GPU", 8, 7, "partial"),
        ("h100__no-plugin", "NVIDIA-H100-80GB-HBM3", 81559, 8, "Full GPU", 8, 0, "none"),
        ("h100__notready", "NVIDIA-H100-80GB-HBM3", 81559, 8, "Full GPU", 8, 8, "full"),
        ("h200", "NVIDIA-H200", 143771, 8, "Full GPU", 8, 8, "full"),
        ("h200__driver-upgrade", "NVIDIA-H200", 143771, 8, "Full GPU", 8, 8, "full"),
        ("h200__xid-cond", "NVIDIA-H200", 143771, 8, "Full GPU", 8, 8, "full"),
        ("a100-mig-single", "NVIDIA-A100-SXM4-40GB", 40960, 8, "MIG 7×1g.5gb", 56, 56, "full"),
        ("a100-mig-single__mig-pending", "NVIDIA-A100-SXM4-40GB", 40960, 8, "MIG 7×1g.5gb", 56, 56, "full"),
        ("a100-mig-mixed", "NVIDIA-A100-SXM4-80GB", 81920, 8, "MIG 2×1g.10gb + 1×2g.20gb + 1×3g.40gb", 32, 32, "full"),
        ("a100-mig-mixed__cordoned", "NVIDIA-A100-SXM4-80GB", 81920, 8, "MIG 2×1g.10gb + 1×2g.20gb + 1×3g.40gb", 32, 32, "full"),
        ("t4-timeslice", "Tesla-T4", 15360, 4, "Time-sliced ×4", 16, 16, "full"),
        ("t4-timeslice-renamed", "Tesla-T4", 15360, 4, "Time-sliced ×4", 16, 16, "full"),
        ("t4-timeslice__mem-pressure", "Tesla-T4", 15360, 4, "Time-sliced ×4", 16, 16, "full"),
        ("t4-timeslice__stale-label", "Tesla-T4", 15360, 4, "Time-sliced ×4", 16, 16, "full"),
        ("l40s-mps", "NVIDIA-L40S", 46068, 4, "MPS ×10", 40, 40, "full"),
        ("l40s-mps__deleting-taint", "NVIDIA-L40S", 46068, 4, "MPS ×10", 40, 40, "full"),
        ("mi300x", "AMD_Instinct_MI300X_VF", 195584, 8, "Full GPU", 8, 8, "full"),
        ("gaudi2", "HL-225", None, 8, "Full GPU", 8, 8, "full"),
    ],
)
def test_node(
    name: str, product: str, memory: int | None, physical: int, mode: str, capacity: int, allocatable: int, advertised: str
) -> None:
    seen = look(name)
    assert gpu_evidence(recorded(name))
    assert (seen.product, seen.gpu_memory_mib, seen.physical, seen.mode) == (product, memory, physical, mode)
    assert (seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (capacity, allocatable, advertised)
    assert seen.evidence


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("h100__gpu-lost", "unhealthy_devices"),
        ("h100__no-plugin", "nothing_advertised"),
        ("h100__notready", "kubelet_down"),
        ("h200__driver-upgrade", "driver_upgrade"),
        ("a100-mig-single__mig-pending", "mig_change"),
        ("t4-timeslice__stale-label", "replicas_disagree"),
    ],
)
def test_fault_is_named_first(name: str, rule: str) -> None:
    seen = look(name)
    assert seen.findings[0].rule == rule
    assert seen.reason == seen.findings[0].text


def test_healthy_nodes_have_nothing_remarkable() -> None:
    healthy = [name for name in NODES if "__" not in name and name not in ("cpu", "gb200-dra")]
    assert {look(name).reason for name in healthy} == {""}


def test_cpu_node_is_no_gpu_node() -> None:
    assert gpu_evidence(recorded("cpu")) == ()


def test_gb200_by_dra() -> None:
    devices, held = recorded_dra()
    seen = look("gb200-dra", devices=devices, allocations=held)
    assert (seen.physical, seen.physical_source, seen.product, seen.gpu_memory_mib) == (
        4,
        "resource_slice",
        "NVIDIA-GB200",
        189471,
    )
    assert (seen.slots.capacity, seen.slots.requested, seen.slots.free) == (4, 2, 2)
    assert (seen.mode, seen.advertised, seen.reason, seen.cuda_version) == ("Full GPU", "full", "", "12.8")
    assert seen.cards[0].pci_bus_id == "0000:01:00.0"
    assert [card.held for card in seen.cards] == [True, True, False, False]


def test_every_recorded_node_is_in_this_table() -> None:
    tested = {row.args[0] if hasattr(row, "args") else row[0] for row in test_node.pytestmark[0].args[1]}  # type: ignore[attr-defined]
    assert set(NODES) == tested | {"cpu", "gb200-dra"}
