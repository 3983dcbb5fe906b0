"""Whole snapshots for the recording tests: a plain cluster of H100 nodes, changed by one fact at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.domain.snapshot import ClusterSnapshot, Condition, ContainerSnapshot, NodeSnapshot, PodSnapshot
from fleet.domain.snapshot.sections import Outcome, SectionReport

T0 = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECTIONS = (
    "version",
    "permissions",
    "resource_slices",
    "device_classes",
    "device_taint_rules",
    "readiness_rules",
    "nodes",
    "pods",
    "operator",
    "device_plugin_config",
    "resource_claims",
    "events",
)


def a_node(name: str, uid: str = "", *, gpus: int = 8, labels: dict[str, str] | None = None, **fields: Any) -> NodeSnapshot:
    values = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": str(gpus),
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.memory": "81559",
        "nvidia.com/gpu.sharing-strategy": "none",
        "node.kubernetes.io/instance-type": "p5.48xlarge",
    }
    defaults: dict[str, Any] = {
        "capacity": {"nvidia.com/gpu": str(gpus), "cpu": "192"},
        "allocatable": {"nvidia.com/gpu": str(gpus), "cpu": "190"},
        "conditions": (Condition(type="Ready", status="True"),),
    }
    return NodeSnapshot(name=name, uid=uid or f"uid-{name}", labels={**values, **(labels or {})}, **{**defaults, **fields})


def a_pod(name: str, node: str, *, gpus: int = 1, **fields: Any) -> PodSnapshot:
    container = ContainerSnapshot(
        name="main", requests={"nvidia.com/gpu": str(gpus)} if gpus else {}, state="running", ready=True
    )
    values = {"uid": f"uid-{name}", "namespace": "inference", "phase": "Running", "ready": True, "containers": (container,)}
    return PodSnapshot(name=name, node_name=node, **{**values, **fields})


def a_snapshot(
    *nodes: NodeSnapshot,
    pods: tuple[PodSnapshot, ...] = (),
    after_s: float = 0,
    broken: dict[str, Outcome] | None = None,
    **fields: Any,
) -> ClusterSnapshot:
    """Taken `after_s` seconds after noon; `broken` names sections that did not go well."""
    outcomes = dict.fromkeys(SECTIONS, Outcome.COLLECTED) | (broken or {})
    counts = {"nodes": len(nodes), "pods": len(pods)}
    sections = {
        name: SectionReport(
            name=name,
            outcome=outcome,
            count=counts.get(name),
            reason="" if outcome is Outcome.COLLECTED else f"{name} did not go well.",
        )
        for name, outcome in outcomes.items()
    }
    return ClusterSnapshot(
        name="east",
        taken_at=T0 + timedelta(seconds=after_s),
        server_version="v1.36.2",
        platform="EKS",
        node_count=len(nodes),
        nodes=nodes,
        pods=pods,
        sections=sections,
        **fields,
    )
