"""Recorded answers of kube-scheduler 1.36, replayed: each pending pod meets the state that the real one met."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from fleet.domain.placement.scheduler import objects as reading
from fleet.domain.placement.scheduler.pod_evaluation import PodEvaluation, evaluate
from fleet.domain.placement.scheduler.specs import pod_scheduling
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot, SchedulingObjects, Taint
from fleet.domain.snapshot.scheduling import Storage

FOLDER = Path(__file__).parents[3] / "recorded" / "scheduler" / "pods"
_AT = datetime(2026, 11, 1, tzinfo=UTC)
_NAMESPACES = {
    name: {"kubernetes.io/metadata.name": name, **labels}
    for name, labels in {
        "team-a": {"tier": "gold"},
        "team-b": {"tier": "silver"},
        "gpu-operator": {},
        "gpu-monitoring": {},
    }.items()
}


class Question(NamedTuple):
    """One pending pod with the real scheduler's answer and Muster's."""

    scenario: str
    pod: str
    answer: dict[str, Any]
    evaluation: PodEvaluation
    state: ClusterState
    snapshot: PodSnapshot


def scenarios() -> Iterator[dict[str, Any]]:
    for path in sorted(FOLDER.glob("*.jsonl")):
        with path.open() as lines:
            for line in lines:
                yield json.loads(line)


def cluster_objects(manifests: list[dict[str, Any]]) -> SchedulingObjects:
    def of(kind: str, read: Any) -> tuple[Any, ...]:
        return tuple(read(manifest) for manifest in manifests if manifest["kind"] == kind)

    return SchedulingObjects(
        namespaces=_NAMESPACES,
        storage=Storage(
            claims=of("PersistentVolumeClaim", reading.volume_claim),
            volumes=of("PersistentVolume", reading.volume),
            classes=of("StorageClass", reading.storage_class),
        ),
        runtime_classes=of("RuntimeClass", reading.runtime_class),
        priority_classes=of("PriorityClass", reading.priority_class),
    )


def node(manifest: dict[str, Any]) -> NodeSnapshot:
    spec = manifest.get("spec") or {}
    return NodeSnapshot(
        name=manifest["metadata"]["name"],
        uid=manifest["metadata"]["name"],
        labels=manifest["metadata"].get("labels") or {},
        taints=tuple(Taint(entry["key"], entry.get("value", ""), entry["effect"]) for entry in spec.get("taints") or ()),
        unschedulable=bool(spec.get("unschedulable")),
        allocatable=manifest["status"]["allocatable"],
    )


def pod(manifest: dict[str, Any], known: SchedulingObjects, bound_to: str = "", nominated: str = "") -> PodSnapshot:
    meta, spec = manifest["metadata"], manifest["spec"]
    return PodSnapshot(
        uid=f"{meta['namespace']}/{meta['name']}",
        namespace=meta["namespace"],
        name=meta["name"],
        labels=meta.get("labels") or {},
        node_name=bound_to or spec.get("nodeName", ""),
        phase=(manifest.get("status") or {}).get("phase", "Pending"),
        deleting_since=_AT if meta.get("deletionTimestamp") else None,
        scheduling=pod_scheduling(meta, spec, known, {"nominatedNodeName": nominated} if nominated else None),
    )


def questions(scenario: dict[str, Any]) -> Iterator[Question]:
    result = scenario["objects"]
    known = cluster_objects(result["other"])
    nodes = [node(manifest) for manifest in result["nodes"]]
    pods = [pod(manifest, known) for manifest in result["pods"]]
    for manifest, answer in zip(scenario["pending"], scenario["answers"], strict=True):
        incoming = pod(manifest, known)
        state = ClusterState(nodes, pods, known, whole=True)
        yield Question(scenario["name"], answer["pod"], answer, evaluate(incoming, state), state, incoming)
        if answer.get("victims_gone"):
            pods = [entry for entry in pods if entry.uid not in answer["victims"]]
        elif answer.get("victims"):
            pods = [_terminating(entry) if entry.uid in answer["victims"] else entry for entry in pods]
        if answer.get("code"):
            continue
        where = answer.get("afterwards") or answer["node"] or ""
        pods.append(pod(manifest, known, bound_to=where, nominated="" if where else answer.get("nominated") or ""))


def _terminating(entry: PodSnapshot) -> PodSnapshot:
    return replace(entry, deleting_since=_AT)
