"""Rung 0: the kubelet is ready. Without it all other data of the node is last known."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.readiness.node_evidence import steps
from fleet.domain.readiness.types import Rung, RungResult

_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns the result from the node's conditions alone.

    The control plane sets Ready to Unknown when the kubelet stops reporting.
    """
    conditions = {condition.type: condition for condition in subject.node.conditions}
    ready = conditions.get("Ready")
    if ready is None:
        return RUNG.says(Status.UNKNOWN, "The node has no Ready condition: its kubelet has not reported yet.")
    evidence = Evidence("condition", "Ready", f"{ready.status} {ready.reason}".strip())
    look = f"Check the kubelet's last conditions: kubectl describe node {subject.node.name}"
    if ready.status != "True":
        result = f"is not ready ({ready.reason})" if ready.reason else "is not ready"
        reason = f"The kubelet {result}." if ready.status == "False" else "The kubelet has stopped reporting."
        remedy = steps(look, "If it does not explain the cause, check that the machine is up and reaches the API server.")
        return RUNG.says(Status.FAIL, reason, (evidence,), remedy)
    under = [name for name in _PRESSURES if name in conditions and conditions[name].status == "True"]
    if under:
        answer = (evidence, *(Evidence("condition", name, f"True {conditions[name].reason}".strip()) for name in under))
        reason = f"The kubelet is ready, but reports {', '.join(under)}: pods may be refused or evicted."
        return RUNG.says(Status.WARN, reason, answer, steps(look))
    return RUNG.says(Status.PASS, "The kubelet is ready.", (evidence,))


RUNG = Rung(
    id="kubelet_ready",
    number=0,
    title="Kubelet ready",
    broken="The kubelet is not ready",
    needs=("nodes",),
    check=check,
)
