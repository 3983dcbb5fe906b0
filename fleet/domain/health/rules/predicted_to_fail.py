"""A provider's prediction that a node's GPUs will degrade soon: shown beside the verdict, which it does not change."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import answer
from fleet.domain.health.signals import meaning

ID = "predicted_to_fail"


def check(subject: NodeSubject) -> RuleResult:
    """Returns one finding for each tool that predicts a failure; pass where one predicts none."""
    predicted = meaning(subject, "predicted")
    predicts = [signal for signal in meaning(subject, "good") if signal.key == _KEY]
    if not predicted and not predicts:
        return RuleResult(rule=ID, status=Status.NOT_ENABLED, reason="No tool on this node predicts failures (GKE does).")
    rows = [
        Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"{signal.monitor} predicts that the GPUs of this node degrade within five hours.",
            key=signal.key,
            evidence=(Evidence(signal.place, signal.key, signal.value),),
            remedy=f"Move long training jobs away: kubectl cordon {subject.node.name}, then let checkpoints finish.",
        )
        for signal in predicted
    ]
    return answer(subject, ID, rows)


_KEY = "gke.google.com/recommended-to-run-large-training-workload"

RULE = Rule(id=ID, title="Predicted to fail", severity=Severity.WARNING, needs=("nodes",), check=check)
