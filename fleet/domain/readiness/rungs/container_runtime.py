"""Rung 3: the container runtime gives GPUs to containers."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.readiness.node_evidence import (
    EXPORTERS,
    State,
    at_work,
    fresh,
    holders,
    in_dra_mode,
    is_running,
    logs,
    part,
    pod_evidence,
    pod_word,
    proof_evidence,
    proved,
    steps,
    validation,
)
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.snapshot import PodSnapshot

_REFUSALS = frozenset({"RunContainerError", "CreateContainerError"})
_OF_THE_GPU = ("nvidia", "cdi", "gpu", "libcuda", "nvml", "prestart hook", "/dev/dri", "/dev/kfd", "habana")
_OF_THE_IMAGE = ("executable file not found", "no such file or directory", "permission denied", "exec format error")
_IN_USE_MIB = 1024
"""Memory in use on a GPU that only a process with its own context can have taken; drivers reserve less."""


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns pass by the operator's toolkit pod and its validation, or by a running pod with a slot that uses its GPU.

    Evidence of a workload lasts a day, unless the node reboots or a container is refused.
    """
    refused = _refused(subject)
    if refused is not None:
        evidence = Evidence("pod", f"{refused.namespace}/{refused.name}", refused.reason)
        remedy = steps(
            f"Read the runtime's message: kubectl describe pod -n {refused.namespace} {refused.name}",
            "Restart the container toolkit on the node; with CDI, generate its specification again: nvidia-ctk cdi generate",
        )
        return RUNG.says(Status.FAIL, "The container runtime cannot start a container with a GPU.", (evidence,), remedy)
    proof = proved(subject, "container_runtime", _seen_using)
    noted = proof_evidence(proof, "a pod used its GPU")
    state, pods = part(subject, "toolkit", name="container-toolkit")
    step, steps_told, validator = validation(subject, "toolkit")
    stack = (*(pod_evidence(pod) for pod in pods[:1]), *steps_told)
    if state in (State.VIOLATED, State.MISSING) or step == State.VIOLATED:
        what, remedy = _broken(state, pods, validator)
        if proof and any(is_running(pod) for pod in holders(subject)):
            return RUNG.says(Status.WARN, f"{what}, but pods still use GPUs.", (*stack, *noted), remedy, proof)
        return RUNG.says(Status.FAIL, f"{what}.", stack, remedy)
    if State.READY in (state, step):
        return RUNG.says(Status.PASS, "The NVIDIA container toolkit is set up.", stack, remember=proof)
    if proof:
        reason = "A pod that holds a slot has used its GPU within the last day."
        return RUNG.says(Status.PASS, reason, noted, remember=proof)
    if State.STARTING in (state, step):
        return RUNG.says(Status.WAITING, "The container toolkit is starting.", stack)
    return _unproved(subject)


def _refused(subject: NodeSubject) -> PodSnapshot | None:
    """Returns a pod whose container the runtime could not create for a reason that may be the GPU's.

    A message that the image lacks its program is the pod's own fault.
    """
    waiting = [
        pod
        for pod in subject.pods
        if pod.phase in ("Pending", "Running")
        and (
            pod.reason in _REFUSALS
            or any(container.reason in _REFUSALS for container in pod.containers if container.state == "waiting")
        )
    ]
    if not waiting:
        return None
    with_slots = {pod.uid for pod in holders(subject)}
    for pod in sorted(waiting, key=lambda row: (row.namespace, row.name)):
        message = pod.message.lower()
        own_fault = any(word in message for word in _OF_THE_IMAGE) and not any(word in message for word in _OF_THE_GPU)
        if pod.uid in with_slots and not own_fault:
            return pod
    return None


def _seen_using(subject: NodeSubject) -> bool:
    """Returns whether a running pod with a slot uses its GPU: it computes or has memory.

    Where the kubelet itself puts the device into the container (DRA, vendors without their own runtime), a running pod is
    enough.
    """
    if at_work(subject):
        return True
    running = [pod for pod in holders(subject) if is_running(pod)]
    filled = {
        (ref.namespace, ref.pod)
        for sample in (fresh(subject) if running else ())
        if sample.values.get("fb_used", 0) >= _IN_USE_MIB
        for ref in sample.pods
    }
    others = subject.devices.vendor not in ("nvidia", "")
    return any((pod.namespace, pod.name) in filled or pod.claims or others for pod in running)


def _broken(state: State, pods: Sequence[PodSnapshot], validator: PodSnapshot | None) -> tuple[str, str]:
    if state == State.MISSING:
        remedy = steps("See whether the toolkit's DaemonSet tolerates the node's taints.")
        return "The operator should run the container toolkit on this node, but it does not", remedy
    if state == State.VIOLATED:
        return f"The container toolkit's pod is not ready ({pod_word(pods[0])})", steps(f"Read its log: {logs(pods[0])}")
    remedy = steps(f"Read the validator's log: {logs(validator, 'toolkit-validation')}")
    return "The validator's container saw no GPU", remedy


def _unproved(subject: NodeSubject) -> RungResult:
    ways = subject.cluster.stack.components & {"toolkit", "validator", *EXPORTERS} or subject.cluster.stack.telemetry
    if ways or "container_runtime" in subject.cluster.history.rungs_proved:
        reason = "No container on this node was observed using a GPU yet."
        return RUNG.says(Status.UNKNOWN, reason, (), _TRY_DRA if in_dra_mode(subject) else _TRY)
    return RUNG.says(Status.NOT_ENABLED, "No component on this cluster can show a container that uses a GPU.", (), _TURN_ON)


_TRY = steps("Run a pod that requests one GPU on this node and computes for a minute.")
_TRY_DRA = steps("Run a pod that claims one GPU of this node: with DRA, a container that runs with its claim is enough.")
_TURN_ON = steps(
    "Run the DCGM exporter with pod attribution: then every pod that uses its GPU shows it.",
    "Or install the NVIDIA GPU Operator with its validator.",
    "Or waive this rung for the cluster, with a reason.",
)

RUNG = Rung(
    id="container_runtime",
    number=3,
    title="Container runtime",
    broken="The container runtime cannot provide GPUs",
    needs=("nodes", "pods"),
    check=check,
)
