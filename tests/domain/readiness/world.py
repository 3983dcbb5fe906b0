"""One node in a world where everything was read: a test takes away, or breaks, the one thing it is about.

The stacks: `operator` (NVIDIA GPU Operator), `plain` (static device plugin), `gke`, `dra`, `amd`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.evaluation.subject import ClusterHistory, ClusterStack, Declaration, NodeHistory, NodeReports, NodeSubject
from fleet.domain.findings import RuleResult, Status
from fleet.domain.readiness.ladder import evaluate_ladder
from fleet.domain.readiness.types import Readiness, RungResult
from fleet.domain.snapshot import (
    ClusterPolicySnapshot,
    ClusterSnapshot,
    ContainerSnapshot,
    DaemonSetSnapshot,
    NodeSnapshot,
    OperatorSnapshot,
    PodSnapshot,
    ResourceSlices,
)
from fleet.domain.snapshot.dra import DeviceTaintRule
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, PodRef, Telemetry
from tests.builders import NODE, make_container, make_dra_device, make_node, make_pod
from tests.domain.subjects import make_subject

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=3)
SECTIONS = (
    "nodes", "pods", "operator", "device_plugin_config", "resource_slices", "resource_claims", "telemetry", "model_servers",
    "events",
)  # fmt: skip
OPERATOR_LABELS = {
    f"nvidia.com/gpu.deploy.{part}": "true"
    for part in ("driver", "container-toolkit", "device-plugin", "gpu-feature-discovery", "dcgm-exporter", "operator-validator")
}
STEPS = ("driver", "toolkit", "cuda", "plugin")
_OPERANDS = ("driver", "toolkit", "device-plugin", "gpu-feature-discovery", "dcgm-exporter", "validator")
_OTHERS: dict[str, tuple[str, ...]] = {
    "plain": ("device-plugin", "gpu-feature-discovery", "dcgm-exporter"),
    "gke": ("device-plugin", "dcgm-exporter"),
    "dra": ("dra-driver", "dcgm-exporter"),
    "amd": ("amd-device-plugin", "amd-node-labeller", "amd-metrics-exporter"),
}


def operand(component: str, *, node: str = NODE, state: str = "ready", reason: str = "", **fields: Any) -> PodSnapshot:
    """A pod of the GPU stack: ready, starting or crashing."""
    values: dict[str, Any] = {
        "namespace": "gpu-operator",
        "component": component,
        "owner_kind": "DaemonSet",
        "owner_name": component,
        "created_at": LONG_AGO,
        "started_at": LONG_AGO,
        "gpus": 0,
        "containers": validator_steps() if component == "validator" else (make_container(component),),
    }
    if state != "ready":
        values |= {"ready": False, "reason": reason or ("CrashLoopBackOff" if state == "crashing" else "ContainerCreating")}
    if state == "starting":
        values |= {"phase": "Pending", "created_at": NOW - timedelta(minutes=1), "started_at": NOW - timedelta(minutes=1)}
    return make_pod(f"{component}-x", node=node, **{**values, **fields})


def validator_steps(**states: str) -> tuple[ContainerSnapshot, ...]:
    """The validator's init containers: done, unless given as running, failed or waiting."""
    fields: dict[str, dict[str, Any]] = {
        "done": {"state": "terminated", "exit_code": 0, "reason": "Completed"},
        "running": {"state": "running"},
        "failed": {"state": "waiting", "reason": "CrashLoopBackOff"},
        "waiting": {"state": "waiting", "reason": "PodInitializing"},
    }
    return tuple(ContainerSnapshot(name=f"{step}-validation", init=True, **fields[states.get(step, "done")]) for step in STEPS)


def validator(*, state: str = "starting", age: timedelta = timedelta(minutes=1), **states: str) -> PodSnapshot:
    """A validator that has not come through."""
    begun = NOW - age
    reason = "CrashLoopBackOff" if "failed" in states.values() else "PodInitializing"
    return operand(
        "validator",
        phase="Pending",
        ready=False,
        reason=reason,
        containers=validator_steps(**states),
        created_at=begun,
        started_at=begun,
    )


def without(pods: Iterable[PodSnapshot], *components: str) -> tuple[PodSnapshot, ...]:
    return tuple(pod for pod in pods if pod.component not in components)


def swapped(world: World, *pods: PodSnapshot) -> World:
    """The world with these pods in the place of their components."""
    kept = without(world.pods, *(pod.component for pod in pods))
    return world.but(pods=(*kept, *pods))


def samples(
    cards: int = 8, *, node: str = NODE, age: timedelta = timedelta(seconds=20), pod: str = "", **fields: Any
) -> list[DeviceSample]:
    """One sample a card; `pod` is named by all of them."""
    values: dict[str, Any] = {
        "model": "NVIDIA H100 80GB HBM3",
        "driver_version": "570.172.08",
        "values": {"gpu_util": 0.0, "fb_used": 1.0},
        "pods": (PodRef("team-a", pod),) if pod else (),
    }
    return [
        DeviceSample(node_name=node, uuid=f"GPU-{node}-{number:04d}", at=NOW - age, **{**values, **fields})
        for number in range(cards)
    ]


class World(msgspec.Struct, frozen=True, kw_only=True):
    node: NodeSnapshot
    pods: tuple[PodSnapshot, ...] = ()
    operator: OperatorSnapshot = OperatorSnapshot()
    slices: ResourceSlices = ResourceSlices()
    taint_rules: tuple[DeviceTaintRule, ...] = ()
    telemetry: Telemetry = Telemetry()
    history: NodeHistory = NodeHistory(first_seen_at=LONG_AGO, found_at_start=True, most_seen=8)
    cluster: ClusterHistory = ClusterHistory()
    broken: tuple[str, ...] = ()
    """Sections that could not be read."""

    def but(self, **changes: Any) -> World:
        return msgspec.structs.replace(self, **changes)

    def expecting(self, count: int | None, source: str = "learned") -> World:
        """The world in which so many GPUs were declared for the node, or most often seen on it; None: nothing is known."""
        if source == "declared" and count is not None:
            declarations = (Declaration(count=count),)
            return self.remembering(most_seen=None).but(cluster=msgspec.structs.replace(self.cluster, declarations=declarations))
        return self.remembering(most_seen=count)

    def remembering(self, **changes: Any) -> World:
        return self.but(history=msgspec.structs.replace(self.history, **changes))

    def snapshot(self) -> ClusterSnapshot:
        reports = {
            name: SectionReport(
                name=name,
                outcome=Outcome.FORBIDDEN if name in self.broken else Outcome.COLLECTED,
                reason=f"Muster may not read {name}." if name in self.broken else "",
            )
            for name in SECTIONS
        }
        gone = set(self.broken)
        return ClusterSnapshot(
            name="east",
            taken_at=NOW,
            nodes=(self.node,),
            pods=() if "pods" in gone else self.pods,
            operator=OperatorSnapshot() if "operator" in gone else self.operator,
            slices=ResourceSlices() if "resource_slices" in gone else self.slices,
            taint_rules=() if "device_taint_rules" in gone else self.taint_rules,
            telemetry=Telemetry() if "telemetry" in gone else self.telemetry,
            sections=reports,
        )

    def evaluate_ladder(self) -> Readiness:
        history = msgspec.structs.replace(self.cluster, nodes={self.node.uid: self.history})
        return evaluate(self.snapshot(), history).nodes[0].readiness

    def rung(self, name: str) -> RungResult:
        return next(result for result in self.evaluate_ladder().rungs if result.id == name)

    def says(self, name: str) -> Status:
        """What the rung says by itself, blocked or not."""
        result = self.rung(name)
        return result.own_status or result.status


def telemetry(device_samples: Sequence[DeviceSample], *, node: str = NODE, **fields: Any) -> Telemetry:
    values: dict[str, Any] = {
        "namespace": "gpu-operator",
        "pod": "dcgm-exporter-x",
        "source": "pod-proxy",
        "at": NOW,
        "outcome": Outcome.COLLECTED,
    }
    report = ExporterReport(node_name=node, **{**values, **fields})
    return Telemetry(source="pod-proxy", samples=tuple(device_samples), exporters=(report,))


def operator(**labels: str | None) -> World:
    """A node under the GPU Operator, healthy and idle."""
    node = make_node(labels={**OPERATOR_LABELS, **labels})
    policy = ClusterPolicySnapshot(name="cluster-policy", state="ready", driver_enabled=True, toolkit_enabled=True)
    daemons = tuple(DaemonSetSnapshot(namespace="gpu-operator", name=part, component=part) for part in _OPERANDS)
    return World(
        node=node,
        pods=tuple(operand(part) for part in _OPERANDS),
        operator=OperatorSnapshot(policies=(policy,), daemonsets=daemons),
        telemetry=telemetry(samples()),
    )


def worker(name: str = "train-0", **fields: Any) -> PodSnapshot:
    """A workload with one slot."""
    return make_pod(name, **fields)


def busy(world: World, **fields: Any) -> World:
    """The world with a workload that is seen computing on its card."""
    first, *others = world.telemetry.samples
    first = msgspec.structs.replace(first, values={"gpu_util": 90.0, "fb_used": 40_000.0}, pods=(PodRef("team-a", "train-0"),))
    seen = msgspec.structs.replace(world.telemetry, samples=(first, *others))
    return world.but(pods=(*world.pods, worker(**fields)), telemetry=seen)


def stack(name: str) -> World:
    """A healthy node under this stack, with a workload at work: every stack can then prove every rung up to 7."""
    if name == "operator":
        return busy(operator())
    pods = tuple(operand(part, owner_kind="DaemonSet") for part in _OTHERS[name])
    daemons = tuple(DaemonSetSnapshot(namespace="gpu", name=part, component=part) for part in _OTHERS[name])
    base: dict[str, Any] = {"pods": pods, "operator": OperatorSnapshot(daemonsets=daemons), "telemetry": telemetry(samples())}
    if name == "plain":
        return busy(World(node=make_node(), **base))
    if name == "gke":
        fields = {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb", "cloud.google.com/gke-accelerator-count": "8"}
        return busy(World(node=make_node(gfd=False, labels=fields), **base))
    if name == "dra":
        node = make_node(gfd=False, capacity={"nvidia.com/gpu": None})
        devices = tuple(make_dra_device(number) for number in range(8))
        world = World(node=node, slices=ResourceSlices(devices=devices), **base)
        return busy(world, gpus=0, claims=("claim-1",))
    told_amd = {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"}
    node = make_node(gpus=0, gfd=False, labels=told_amd, capacity={"amd.com/gpu": 8})
    result = samples(model="AMD Instinct MI300X OAM", driver_version="6.8.5")
    base["telemetry"] = telemetry(result)
    return busy(World(node=node, **base), resource="amd.com/gpu")


def evaluate_with(world: World, *health: RuleResult) -> Readiness:
    """The ladder under these findings of health rules."""
    return evaluate_ladder(subject(world), health)


def subject(world: World) -> NodeSubject:
    snapshot = world.snapshot()
    inspected = evaluate(snapshot).nodes[0].devices
    seen = snapshot.telemetry
    return make_subject(
        snapshot,
        NodeReports(
            pods=snapshot.pods,
            dra_devices=snapshot.slices.devices,
            samples=seen.samples,
            exporters=seen.exporters,
            servers=seen.servers,
        ),
        node=world.node,
        devices=inspected,
        history=world.history,
        policy=world.cluster.default_policy,
        cluster=world.cluster,
        stack=ClusterStack(components=frozenset(pod.component for pod in snapshot.pods), telemetry=True),
    )
