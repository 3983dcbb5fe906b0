"""Rung 0: the kubelet is ready. Whatever else a node says is its last word where its kubelet is silent."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.readiness.seen import steps
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.subject import NodeSubject

_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """By the node's conditions alone. The control plane turns Ready to Unknown when the kubelet stops reporting."""
    conditions = {condition.type: condition for condition in subject.node.conditions}
    ready = conditions.get("Ready")
    if ready is None:
        return RUNG.says(Status.UNKNOWN, "The node tells no Ready condition: its kubelet has not reported yet.")
    evidence = Evidence("condition", "Ready", f"{ready.status} {ready.reason}".strip())
    look = f"See what the kubelet last said: kubectl describe node {subject.node.name}"
    if ready.status != "True":
        said = f"is not ready ({ready.reason})" if ready.reason else "is not ready"
        reason = f"The kubelet {said}." if ready.status == "False" else "The kubelet has stopped reporting."
        remedy = steps(look, "If it says nothing, look at the machine itself: is it up, and does it reach the API server?")
        return RUNG.says(Status.FAIL, reason, (evidence,), remedy)
    under = [name for name in _PRESSURES if name in conditions and conditions[name].status == "True"]
    if under:
        found = (evidence, *(Evidence("condition", name, f"True {conditions[name].reason}".strip()) for name in under))
        reason = f"The kubelet is ready, but reports {', '.join(under)}: pods may be refused or evicted."
        return RUNG.says(Status.WARN, reason, found, steps(look))
    return RUNG.says(Status.PASS, "The kubelet is ready.", (evidence,))


RUNG = Rung(
    id="kubelet_ready",
    number=0,
    title="Kubelet ready",
    broken="The kubelet is not ready",
    needs=("nodes",),
    check=check,
)
