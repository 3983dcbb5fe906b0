"""Questions that several rungs ask of a node: what state a part of the GPU stack is in, how far the validator came,
which cards are seen at work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from fleet.domain import labels
from fleet.domain.findings import Evidence
from fleet.domain.outcomes import Outcome
from fleet.domain.readiness.limits import PROOF_LASTS, PROOF_RENEWED_AFTER, SAMPLE_FRESH, START_GRACE
from fleet.domain.requests import holds
from fleet.domain.snapshot import ContainerSnapshot, PodSnapshot
from fleet.domain.subject import NodeSubject
from fleet.domain.telemetry import DeviceSample, ModelServer

VALIDATORS = ("validator", "dra-validator")
DEVICE_PLUGINS = ("device-plugin", "amd-device-plugin", "intel-device-plugin", "gaudi-device-plugin", "dra-driver")
EXPORTERS = ("dcgm-exporter", "amd-metrics-exporter")
_NOT_YET = frozenset({"", "ContainerCreating", "PodInitializing", "Pending", "Running"})


class State(StrEnum):
    """The state of a pod, or of one step of it."""

    READY = "ready"
    STARTING = "starting"
    BROKEN = "broken"
    MISSING = "missing"
    """It should be on the node and is not."""
    ABSENT = "absent"
    """It is not on the node, and nobody said that it should be."""


def pod_state(pod: PodSnapshot, now: datetime, grace: timedelta = START_GRACE) -> State:
    """Ready, still starting within its grace, or broken: because it says so, or because the grace is over."""
    if pod.ready:
        return State.READY
    if pod.phase == "Failed" or pod.reason not in _NOT_YET:
        return State.BROKEN
    begun = pod.started_at or pod.created_at
    return State.BROKEN if begun is not None and now - begun > grace else State.STARTING


def pod_word(pod: PodSnapshot) -> str:
    """One word for what the pod says of itself."""
    return "ready" if pod.ready else pod.reason or pod.phase or "not ready"


def pod_evidence(pod: PodSnapshot) -> Evidence:
    return Evidence("pod", f"{pod.namespace}/{pod.name}", pod_word(pod))


def part(subject: NodeSubject, *components: str, name: str = "") -> tuple[State, tuple[PodSnapshot, ...]]:
    """The state of one part of the GPU stack on the node, with the pods that are in it. `name` is the GPU Operator's own
    for it: then its label on the node says whether the part should be there."""
    pods = subject.component(*components)
    states = [pod_state(pod, subject.now) for pod in pods]
    for state in (State.READY, State.STARTING, State.BROKEN):
        if state in states:
            return state, tuple(pod for pod, its in zip(pods, states, strict=True) if its == state)
    if name and _wanted(subject, components, name):
        age = age_of_boot(subject)
        return (State.STARTING if age is not None and age < START_GRACE else State.MISSING), ()
    return State.ABSENT, ()


_SWITCHES = {"driver": "driver_enabled", "container-toolkit": "toolkit_enabled", "dcgm-exporter": "dcgm_exporter_enabled"}


def _wanted(subject: NodeSubject, components: tuple[str, ...], name: str) -> bool:
    """Whether the operator means the part to run here. It labels nodes `true` also for parts that are switched off in its
    ClusterPolicy; without one to ask, that the part runs anywhere decides."""
    if subject.node.labels.get(labels.GPU_DEPLOY_PREFIX + name) != "true":
        return False
    policies = subject.snapshot.operator.policies
    if policies:
        return all(getattr(policy, _SWITCHES.get(name, ""), None) is not False for policy in policies)
    return bool(subject.stack.components.intersection(components))


def step(pod: PodSnapshot, name: str) -> State | None:
    """How far one container of a pod came whose success is its end; None where the pod has no such container."""
    container = next((one for one in pod.containers if one.name == name), None)
    if container is None:
        return None
    if pod.ready or (container.state == "terminated" and container.exit_code == 0):
        return State.READY
    return State.BROKEN if _broke(container) else State.STARTING


def _broke(container: ContainerSnapshot) -> bool:
    if container.state == "terminated":
        return container.exit_code not in (0, None) or container.reason not in ("", "Completed")
    return container.state == "waiting" and container.reason not in _NOT_YET


def validation(subject: NodeSubject, name: str) -> tuple[State, tuple[Evidence, ...], PodSnapshot | None]:
    """How far the operator's validator came with one of its steps (`driver`, `toolkit`, `cuda`, `plugin`) on the node."""
    container = f"{name}-validation"
    found: tuple[State, tuple[Evidence, ...], PodSnapshot | None] = (State.ABSENT, (), None)
    for pod in subject.component(*VALIDATORS):
        state = step(pod, container)
        if state is None:
            continue
        word = {State.READY: "completed", State.STARTING: "not completed yet"}.get(state, "failed")
        told = (Evidence("pod", f"{pod.namespace}/{pod.name}: {container}", word),)
        if state == State.READY:
            return state, told, pod
        found = (state, told, pod)
    if found[0] == State.ABSENT and _wanted(subject, VALIDATORS, "operator-validator"):
        return State.MISSING, (Evidence("label", labels.GPU_DEPLOY_PREFIX + "operator-validator", "true"),), None
    return found


def operator_labels_away(subject: NodeSubject) -> bool:
    """Whether the GPU Operator's pods are here while every label of its is gone: then a state that only the labels would
    tell (an upgrade that failed) cannot be excluded."""
    return bool(subject.component("validator")) and not any(
        key.startswith(labels.GPU_DEPLOY_PREFIX) for key in subject.node.labels
    )


def labels_only_away(subject: NodeSubject, rung: str) -> bool:
    """Whether GFD's labels are away for the moment, and the rung did not pass while they were there: that they no longer
    contradict anything is no proof then."""
    return (
        subject.memory.previous is not None
        and labels.GPU_PRODUCT not in subject.node.labels
        and subject.memory.rungs.get(rung) not in (None, "pass")
    )


# --- boots and memory ---------------------------------------------------------------------------------------------


def booted_at(subject: NodeSubject) -> datetime | None:
    """When the node was last seen to boot: now, where it bears another boot id than before; None where nobody saw it."""
    here, before = subject.node.node_info.boot_id, subject.memory.boot_id
    return subject.now if here and before and here != before else subject.memory.booted_at


def age_of_boot(subject: NodeSubject) -> timedelta | None:
    """How long ago the node joined or rebooted; None where nobody saw it happen."""
    booted, memory = booted_at(subject), subject.memory
    joined = None if memory.found_at_start else memory.first_seen_at
    if memory.first_seen_at is None and subject.cluster.was_read:
        joined = subject.now
    known = [at for at in (booted, joined) if at is not None]
    return subject.now - max(known) if known else None


def proved(subject: NodeSubject, rung: str, seen_now: Callable[[NodeSubject], bool]) -> dict[str, datetime]:
    """What to remember of a proof by a workload: when it was noted. Empty without one, after a reboot, or after a day.
    Whether one is seen now is asked only where that would change the note."""
    noted = subject.memory.pending.get(f"{rung}|proved")
    booted = booted_at(subject)
    if noted is not None and ((booted is not None and booted >= noted) or subject.now - noted > PROOF_LASTS):
        noted = None
    if (noted is None or subject.now - noted > PROOF_RENEWED_AFTER) and seen_now(subject):
        noted = subject.now
    return {"proved": noted} if noted else {}


def proof_evidence(proof: dict[str, datetime], what: str) -> tuple[Evidence, ...]:
    """The noted proof as evidence. Its moment moves once an hour at most: what a pod does from look to look is no news."""
    return tuple(Evidence("telemetry", what, f"{at:%Y-%m-%d %H:%M} UTC") for at in proof.values())


# --- workloads and cards ------------------------------------------------------------------------------------------


def holders(subject: NodeSubject) -> list[PodSnapshot]:
    """Workload pods on the node that hold a GPU slot or a claim."""
    return [pod for pod in subject.pods if not pod.component and holds(pod) and (pod.claims or _asks_for_gpu(pod))]


def _asks_for_gpu(pod: PodSnapshot) -> bool:
    return any(labels.is_gpu_resource(name) for container in pod.containers for name in container.requests)


def is_running(pod: PodSnapshot) -> bool:
    """Whether one of its own containers runs: so far the container runtime has brought it."""
    return pod.phase == "Running" and any(one.state == "running" and not one.init for one in pod.containers)


def fresh(subject: NodeSubject) -> list[DeviceSample]:
    """Samples that tell about now."""
    return [sample for sample in subject.samples if subject.measured_until - sample.at <= SAMPLE_FRESH]


def fresh_servers(subject: NodeSubject) -> list[ModelServer]:
    """Model servers that answered of late: what one that does not answer told before is no evidence of now."""
    return [
        one
        for one in subject.servers
        if one.outcome == Outcome.COLLECTED and one.at is not None and subject.measured_until - one.at <= SAMPLE_FRESH
    ]


def since_boot(subject: NodeSubject, at: datetime) -> bool:
    """Whether a moment lies behind the last boot that Muster saw."""
    booted = booted_at(subject)
    return booted is None or at >= booted


def at_work(subject: NodeSubject) -> bool:
    """Whether a running pod that holds a slot is seen computing on its card, since the last boot: the exporter names the pod
    of a busy card, or the kubelet the card of a pod (KEP-4680)."""
    busy = [
        one
        for one in fresh(subject)
        if (one.values.get("gr_engine_active", 0) > 0 or one.values.get("gpu_util", 0) > 0) and since_boot(subject, one.at)
    ]
    if not busy:
        return False
    named = {(ref.namespace, ref.pod) for sample in busy for ref in sample.pods}
    uuids = {sample.uuid for sample in busy if not sample.gi_id}
    return any(
        (pod.namespace, pod.name) in named or any(_card(one.device_id) in uuids for one in pod.devices)
        for pod in holders(subject)
        if is_running(pod)
    )


def _card(device_id: str) -> str:
    return device_id.partition("::")[0]


def told(node_labels: dict[str, str], keys: Iterable[str]) -> tuple[Evidence, ...]:
    """The labels among `keys` that are there, as evidence."""
    return tuple(Evidence("label", key, node_labels[key]) for key in keys if key in node_labels)


def logs(pod: PodSnapshot | None, container: str = "") -> str:
    """The command that shows what a pod says."""
    if pod is None:
        return ""
    return f"kubectl logs -n {pod.namespace} {pod.name} " + (f"-c {container}" if container else "--all-containers --tail=100")


def steps(*lines: str) -> str:
    """Lines of a remedy; empty ones are left out."""
    return "\n".join(line for line in lines if line)
