"""Many pods that the kubelet of one node refused within a few minutes: the scheduler goes on sending them there."""

from __future__ import annotations

from datetime import timedelta

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.node_measurements import answer
from fleet.domain.snapshot import PodSnapshot

ID = "pods_refused"
_REASONS = ("UnexpectedAdmissionError", "OutOf", "NodeAffinity", "TopologyAffinityError", "ResourceAllocationFailed")


def check(subject: NodeSubject) -> RuleResult:
    """Returns one finding where at least five pods were refused within ten minutes."""
    limits = thresholds.load().out_of_service
    refused = [pod for pod in subject.pods if _is_refused(pod, subject, timedelta(seconds=limits.refused_within_s))]
    if len(refused) < limits.refused_pods:
        return answer(subject, ID, [])
    reasons = sorted({pod.reason for pod in refused})
    owners = sorted({f"{pod.namespace}/{pod.owner_name or pod.name}" for pod in refused})
    finding = Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"The kubelet refused at least {limits.refused_pods} pods within {limits.refused_within_s // 60} minutes "
        f"({', '.join(reasons[:3])}).",
        evidence=tuple(Evidence("pod", "refused", owner) for owner in owners[:4]),
        remedy=f"kubectl cordon {subject.node.name}\n"
        "Then restart the device plugin's pod on the node: its devices do not match what the kubelet has.",
    )
    return answer(subject, ID, [finding])


def _is_refused(pod: PodSnapshot, subject: NodeSubject, within: timedelta) -> bool:
    at = pod.started_at or pod.created_at
    recent = at is not None and subject.clock.has_reached(at) and not subject.clock.is_past(at, within)
    return recent and pod.phase == "Failed" and pod.reason.startswith(_REASONS)


RULE = Rule(id=ID, title="Pods refused", severity=Severity.WARNING, needs=("nodes", "pods"), check=check)
