"""A node that an external tool took out of service: in validation, in repair, drained in Slurm, quarantined, in maintenance."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import answer
from fleet.domain.health.signals import NodeSignal, meaning, signals

ID = "out_of_service"
_WORDS = {
    "validating": "in validation",
    "repair": "in repair",
    "drained": "drained in Slurm",
    "quarantined": "quarantined",
    "maintenance": "in planned maintenance",
}


def check(subject: NodeSubject) -> RuleResult:
    """Returns one informational finding for each statement; pass where a tool writes that the node is in service."""
    stated = meaning(subject, "validating", "repair", "drained", "quarantined", "maintenance")
    if not stated and not signals(subject):
        return RuleResult(rule=ID, status=Status.NOT_ENABLED, reason="No outside tool writes whether this node is in service.")
    return answer(subject, ID, [_finding(signal) for signal in stated])


def _finding(signal: NodeSignal) -> Finding:
    value = f"={signal.value}" if signal.value else ""
    return Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"{signal.monitor} reports the node as {_WORDS[signal.meaning]}: {signal.key}{value}.",
        key=f"{signal.meaning}/{signal.key}",
        evidence=(Evidence(signal.place, signal.key, signal.value),),
    )


RULE = Rule(id=ID, title="Out of service", severity=Severity.INFO, needs=("nodes", "pods"), check=check)
