"""Evidence that several rungs share: states of GPU stack components, validator steps, GPUs in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from fleet.domain import labels
from fleet.domain.evaluation.run_clock import RunClock
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence
from fleet.domain.pod_resources import holds, wants_gpu
from fleet.domain.snapshot import ContainerSnapshot, PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ModelServer

START_GRACE = timedelta(minutes=10)
"""Time that a component of the GPU stack may take to start: driver images are gigabytes."""
PROOF_LASTS = timedelta(hours=24)
"""Lifetime of a workload's evidence for runtime or CUDA on a node that has not rebooted and shows no failure: a node does not
break because its last job ended."""
PROOF_RENEWED_AFTER = timedelta(hours=1)
"""Minimum time between two records of ongoing evidence, so that a busy node is not written in every run."""
SERVED_RECENTLY = timedelta(hours=24)
"""Time within which a ready or serving model server counts as evidence."""

VALIDATORS = ("validator", "dra-validator")
DEVICE_PLUGINS = ("device-plugin", "amd-device-plugin", "intel-device-plugin", "gaudi-device-plugin", "dra-driver")
EXPORTERS = ("dcgm-exporter", "amd-metrics-exporter")
_NOT_YET = frozenset({"", "ContainerCreating", "PodInitializing", "Pending", "Running"})


class State(StrEnum):
    """The state of a pod, or of one step of it."""

    READY = "ready"
    STARTING = "starting"
    VIOLATED = "broken"
    MISSING = "missing"
    """Expected on the node and absent."""
    ABSENT = "absent"
    """Not on the node and not expected."""


def pod_state(pod: PodSnapshot, clock: RunClock, grace: timedelta = START_GRACE) -> State:
    """Returns ready, starting within its grace, or broken: by the pod's status, or because the grace is over."""
    if pod.ready:
        return State.READY
    if pod.phase == "Failed" or pod.reason not in _NOT_YET:
        return State.VIOLATED
    begun = pod.started_at or pod.created_at
    return State.VIOLATED if begun is not None and clock.is_past(begun, grace) else State.STARTING


def pod_word(pod: PodSnapshot) -> str:
    """Returns the pod's status in one word."""
    return "ready" if pod.ready else pod.reason or pod.phase or "not ready"


def pod_evidence(pod: PodSnapshot) -> Evidence:
    return Evidence("pod", f"{pod.namespace}/{pod.name}", pod_word(pod))


def part(subject: NodeSubject, *components: str, name: str = "") -> tuple[State, tuple[PodSnapshot, ...]]:
    """Returns the state of one GPU stack component on the node, with its pods.

    `name` is the GPU Operator's name for it: the operator's label on the node then states whether it is expected.
    """
    pods = subject.component(*components)
    states = [pod_state(pod, subject.clock) for pod in pods]
    for state in (State.READY, State.STARTING, State.VIOLATED):
        if state in states:
            return state, tuple(pod for pod, its in zip(pods, states, strict=True) if its == state)
    if name and _wanted(subject, components, name):
        return (State.STARTING if subject.booted_within(START_GRACE) else State.MISSING), ()
    return State.ABSENT, ()


_NOT_IN_DRA_MODE = frozenset({"operator-validator", "device-plugin", "gpu-feature-discovery", "mig-manager"})
"""Parts that the GPU Operator does not run with a GPUCluster: the labels that ask for them are left from before (26.7)."""
_SWITCHES = {"driver": "driver_enabled", "container-toolkit": "toolkit_enabled", "dcgm-exporter": "dcgm_exporter_enabled"}


def _wanted(subject: NodeSubject, components: tuple[str, ...], name: str) -> bool:
    """Returns whether the GPU Operator expects the component on the node.

    It labels nodes `true` also for components that are disabled in its ClusterPolicy; without a ClusterPolicy, a component
    that runs anywhere is expected.
    """
    if subject.node.labels.get(labels.GPU_DEPLOY_PREFIX + name) != "true":
        return False
    operator = subject.snapshot.operator
    if operator.dra_mode and name in _NOT_IN_DRA_MODE:
        return False
    policies = operator.policies
    if policies:
        return all(getattr(policy, _SWITCHES.get(name, ""), None) is not False for policy in policies)
    return bool(subject.cluster.stack.components.intersection(components))


def step(pod: PodSnapshot, name: str) -> State | None:
    """Returns the state of a pod's container that has to complete; None where the pod has no such container."""
    container = next((item for item in pod.containers if item.name == name), None)
    if container is None:
        return None
    if pod.ready or (container.state == "terminated" and container.exit_code == 0):
        return State.READY
    return State.VIOLATED if _broke(container) else State.STARTING


def _broke(container: ContainerSnapshot) -> bool:
    if container.state == "terminated":
        return container.exit_code not in (0, None) or container.reason not in ("", "Completed")
    return container.state == "waiting" and container.reason not in _NOT_YET


def validation(subject: NodeSubject, name: str) -> tuple[State, tuple[Evidence, ...], PodSnapshot | None]:
    """Returns the state of one step of the operator's validator (`driver`, `toolkit`, `cuda`, `plugin`) on the node."""
    container = f"{name}-validation"
    result: tuple[State, tuple[Evidence, ...], PodSnapshot | None] = (State.ABSENT, (), None)
    for pod in subject.component(*VALIDATORS):
        state = step(pod, container)
        if state is None:
            continue
        word = {State.READY: "completed", State.STARTING: "not completed yet"}.get(state, "failed")
        answer = (Evidence("pod", f"{pod.namespace}/{pod.name}: {container}", word),)
        if state == State.READY:
            return state, answer, pod
        result = (state, answer, pod)
    if result[0] == State.ABSENT and _wanted(subject, VALIDATORS, "operator-validator"):
        return State.MISSING, (Evidence("label", labels.GPU_DEPLOY_PREFIX + "operator-validator", "true"),), None
    return result


def operator_labels_away(subject: NodeSubject) -> bool:
    """Returns whether the GPU Operator's pods run while all its labels are missing.

    A state that only labels show (a failed upgrade) cannot be excluded then.
    """
    return bool(subject.component("validator")) and not any(
        key.startswith(labels.GPU_DEPLOY_PREFIX) for key in subject.node.labels
    )


def labels_only_away(subject: NodeSubject, rung: str) -> bool:
    """Returns whether GFD's labels are temporarily missing and the rung did not pass with them.

    Missing labels that no longer contradict are not evidence.
    """
    return (
        subject.history.previous is not None
        and labels.GPU_PRODUCT not in subject.node.labels
        and subject.history.rungs.get(rung) not in (None, "pass")
    )


# --- boots and history ---------------------------------------------------------------------------------------------


def proved(subject: NodeSubject, rung: str, seen_now: Callable[[NodeSubject], bool]) -> dict[str, datetime]:
    """Returns when a workload's evidence was recorded, for the history.

    Empty without evidence, after a reboot, or after a day. Current evidence is evaluated only where it would change the
    record.
    """
    noted = subject.history.pending.get(f"{rung}|proved")
    booted = subject.booted_at
    if noted is not None and ((booted is not None and booted >= noted) or subject.clock.is_past(noted, PROOF_LASTS)):
        noted = None
    if (noted is None or subject.clock.is_past(noted, PROOF_RENEWED_AFTER)) and seen_now(subject):
        noted = subject.now
    return {"proved": noted} if noted else {}


def proof_evidence(proof: dict[str, datetime], what: str) -> tuple[Evidence, ...]:
    """Returns the recorded proof as evidence. Its moment changes once an hour at most, so that it is no change in every run."""
    return tuple(Evidence("telemetry", what, f"{at:%Y-%m-%d %H:%M} UTC") for at in proof.values())


# --- workloads and GPUs ------------------------------------------------------------------------------------------


def holders(subject: NodeSubject) -> list[PodSnapshot]:
    """Returns the workload pods on the node that have a GPU slot, a claim or a share."""
    return [pod for pod in subject.pods if not pod.component and holds(pod) and wants_gpu(pod)]


def is_running(pod: PodSnapshot) -> bool:
    """Returns whether one of its own containers runs: the container runtime has started it."""
    return pod.phase == "Running" and any(container.state == "running" and not container.init for container in pod.containers)


def fresh(subject: NodeSubject) -> list[DeviceSample]:
    """Returns the recent samples."""
    return [sample for sample in subject.samples if subject.is_recent(sample.at)]


def fresh_servers(subject: NodeSubject) -> list[ModelServer]:
    """Returns the model servers that answered recently: last known figures of others are not evidence."""
    return [
        server
        for server in subject.servers
        if server.outcome == Outcome.COLLECTED and server.at is not None and subject.is_recent(server.at)
    ]


def since_boot(subject: NodeSubject, at: datetime) -> bool:
    """Returns whether a moment is after the last recorded boot."""
    booted = subject.booted_at
    return booted is None or at >= booted


def at_work(subject: NodeSubject) -> bool:
    """Returns whether a running pod with a slot has computed on its GPU since the last boot.

    The exporter names the pod of a busy GPU, or the kubelet the GPU of a pod (KEP-4680).
    """
    busy = [
        item
        for item in fresh(subject)
        if (item.values.get("gr_engine_active", 0) > 0 or item.values.get("gpu_util", 0) > 0) and since_boot(subject, item.at)
    ]
    if not busy:
        return False
    named = {(ref.namespace, ref.pod) for sample in busy for ref in sample.pods}
    uuids = {sample.uuid for sample in busy if not sample.gi_id}
    return any(
        (pod.namespace, pod.name) in named or any(_card(device.device_id) in uuids for device in pod.devices)
        for pod in holders(subject)
        if is_running(pod)
    )


def _card(device_id: str) -> str:
    return device_id.partition("::")[0]


def label_evidence(node_labels: dict[str, str], keys: Iterable[str]) -> tuple[Evidence, ...]:
    """Returns those labels among `keys` that exist, as evidence."""
    return tuple(Evidence("label", key, node_labels[key]) for key in keys if key in node_labels)


def in_dra_mode(subject: NodeSubject) -> bool:
    """Returns whether the GPU Operator runs here with a GPUCluster: without validator, GFD and device plugin."""
    return subject.snapshot.operator.dra_mode and bool(subject.dra_devices)


def logs(pod: PodSnapshot | None, container: str = "") -> str:
    """Returns the command that shows a pod's logs."""
    if pod is None:
        return ""
    return f"kubectl logs -n {pod.namespace} {pod.name} " + (f"-c {container}" if container else "--all-containers --tail=100")


def steps(*lines: str) -> str:
    """Returns the lines of a remedy without empty ones."""
    return "\n".join(line for line in lines if line)
