"""Rung 4: a program can compute on the node's GPUs.

Evidence: the operator's validator ran its vectorAdd on the node, a workload computes, or a model server generates tokens. Where
none of that decides: a deep test of the GPUs that another tool ran since the last boot and within 30 days (IBM
Autopilot; HyperPod where Muster saw the test run, for its label states no time).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fleet.domain import labels
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.readiness.node_evidence import (
    EXPORTERS,
    PROOF_RENEWED_AFTER,
    START_GRACE,
    State,
    at_work,
    fresh_servers,
    holders,
    in_dra_mode,
    is_running,
    logs,
    proof_evidence,
    proved,
    since_boot,
    steps,
    validation,
)
from fleet.domain.readiness.outside_validation import outside_validation, seen_running
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.snapshot import PodSnapshot

_SEEN = "a workload computed"


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns the validator's result, except that a validator which fails for want of a free GPU is no evidence about CUDA."""
    result = _check(subject)
    return msgspec.structs.replace(result, remember=result.remember | seen_running(subject))


def _check(subject: NodeSubject) -> RungResult:
    proof = proved(subject, "cuda_works", lambda seen: at_work(seen) or _tokens(seen))
    state, evidence, validator = validation(subject, "cuda")
    if state == State.READY:
        return RUNG.says(Status.PASS, "CUDA works: the validator's test ran.", evidence, remember=proof)
    runs = [pod for pod in subject.pods if pod.component == "cuda-validator"]
    if _computes(subject, proof):
        reason = "CUDA works: a workload that holds a slot here was observed computing."
        return RUNG.says(Status.PASS, reason, (*proof_evidence(proof, _SEEN), *evidence), remember=proof)
    if state != State.ABSENT and _all_busy(subject):
        return _busy(subject, evidence, known=_knew(subject))
    if state == State.VIOLATED or any(pod.phase == "Failed" for pod in runs):
        remedy = steps(
            f"Read the test's log: {logs(next(iter(runs), None) or validator)}",
            "Run nvidia-smi on the node, and search its kernel log for Xid errors: dmesg | grep NVRM",
        )
        return RUNG.says(Status.FAIL, "The validator's CUDA test fails.", evidence, remedy)
    if state == State.STARTING:
        return _under_way(subject, evidence, validator)
    if state == State.MISSING:
        reason = "The operator should run its validator on this node, but it does not: no evidence that CUDA works."
        return RUNG.says(Status.UNKNOWN, reason, evidence, _TRY)
    if proof:
        reason = "CUDA works: a workload computed on this node within the last day."
        return RUNG.says(Status.PASS, reason, proof_evidence(proof, _SEEN), remember=proof)
    return _by_others(subject) or _unproved(subject)


def _by_others(subject: NodeSubject) -> RungResult | None:
    """Returns the result by another tool's test of the GPUs; None where no such test passed."""
    test = outside_validation(subject)
    if test is None:
        return None
    if test.void:
        reason = f"{test.monitor}'s test of the GPUs passed, but {test.void}: no evidence that CUDA works."
        unproved = _unproved(subject)  # a tool that states no time can never show it
        return RUNG.says(unproved.status if test.at is None else Status.UNKNOWN, reason, (test.evidence,), unproved.remedy)
    return RUNG.says(Status.PASS, f"CUDA works: {test.monitor}'s test of the GPUs passed.", (test.evidence,))


def _computes(subject: NodeSubject, proof: dict[str, datetime]) -> bool:
    """Returns whether workloads compute on the node now or did recently: CUDA then works, whatever the validator's state."""
    lately = any(not subject.clock.is_past(at, 2 * PROOF_RENEWED_AFTER) for at in proof.values())
    return lately and any(is_running(pod) for pod in holders(subject))


def _tokens(subject: NodeSubject) -> bool:
    """Returns whether a model server generates tokens, which needs CUDA."""
    return any(
        (fresh_server.tokens_per_s or 0) > 0 and fresh_server.at is not None and since_boot(subject, fresh_server.at)
        for fresh_server in fresh_servers(subject)
    )


def _all_busy(subject: NodeSubject) -> bool:
    """Returns whether workloads use every slot of a resource, so that a validator's pod that requests it finds none free.

    Which resource it requests on a node with several depends on its version.
    """
    return bool(holders(subject)) and any(
        slots.allocatable and slots.requested is not None and slots.requested >= slots.allocatable
        for slots in subject.devices.resources
    )


def _knew(subject: NodeSubject) -> bool:
    """Returns whether CUDA worked in the previous run, and the node has not booted since."""
    return subject.history.rungs.get("cuda_works") == Status.PASS and not subject.boots_now


def _busy(subject: NodeSubject, evidence: tuple[Evidence, ...], *, known: bool) -> RungResult:
    slots = subject.devices.slots
    full = (*evidence, Evidence("slots", "requested of allocatable", f"{slots.requested} of {slots.allocatable}"))
    if known:
        reason = "CUDA worked when the validator last had a GPU; now workloads hold every slot, and it waits for one."
        return RUNG.says(Status.PASS, reason, full)
    reason = "Workloads hold every slot, so the validator finds no GPU to test; no other evidence that CUDA works."
    return RUNG.says(Status.UNKNOWN, reason, full, _SEE)


def _under_way(subject: NodeSubject, evidence: tuple[Evidence, ...], validator: PodSnapshot | None) -> RungResult:
    begun = (validator.started_at or validator.created_at) if validator else None
    if begun is not None and subject.clock.is_past(begun, START_GRACE):
        reason = "The validator has not completed its CUDA test: no evidence that CUDA works."
        return RUNG.says(Status.UNKNOWN, reason, evidence, steps(f"Read its progress: {logs(validator)}"))
    return RUNG.says(Status.WAITING, "The validator is running.", evidence)


def _unproved(subject: NodeSubject) -> RungResult:
    ways = (
        subject.cluster.stack.components & {"validator", "dra-validator", "cuda-validator", *EXPORTERS}
        or subject.cluster.stack.telemetry
    )
    if ways or "cuda_works" in subject.cluster.history.rungs_proved:
        reason = "No workload was observed computing on this node, and no validator runs on it."
        return RUNG.says(Status.UNKNOWN, reason, (), _TRY_DRA if in_dra_mode(subject) else _TRY)
    return RUNG.says(Status.NOT_ENABLED, "No component on this cluster can show that CUDA works.", (), _TURN_ON)


_TRY = steps("Run a pod that requests one GPU on this node and computes for a minute, or let the GPU Operator's validator run.")
_TRY_DRA = steps(
    "Run a pod that claims one GPU of this node and computes for a minute: with a GPUCluster the GPU Operator runs no validator."
)
_SEE = steps("Run the DCGM exporter: it shows whether the pods that hold the slots compute.")
_TURN_ON = steps(
    "Install the NVIDIA GPU Operator: its validator runs a CUDA test on every node "
    f"({labels.GPU_DEPLOY_PREFIX}operator-validator=true).",
    "Or run the DCGM exporter with pod attribution: a workload that computes then proves it.",
    "Or waive this rung for the cluster, with a reason.",
)

RUNG = Rung(
    id="cuda_works",
    number=4,
    title="CUDA works",
    broken="CUDA does not work",
    needs=("nodes", "pods"),
    check=check,
)
