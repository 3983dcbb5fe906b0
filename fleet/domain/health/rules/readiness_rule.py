"""A node that a NodeReadinessRule keeps out: by which rule, for which conditions, since when."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import answer
from fleet.domain.health.readiness_gates import Gate, Unmet, gates

ID = "readiness_rule"
_MOST = 8


def check(subject: NodeSubject) -> RuleResult:
    """Returns a finding for each rule whose conditions the node does not meet and whose taint it carries.

    A warning once the node is past its start. A dry run, and a continuous rule whose taint is not there, are informational.
    """
    rules = subject.snapshot.readiness_rules
    if not rules:
        return RuleResult(rule=ID, status=Status.NOT_ENABLED, reason="This cluster has no NodeReadinessRule.")
    if not subject.node.conditions:
        return RuleResult(rule=ID, status=Status.UNKNOWN, reason="The node has no conditions.")
    unread = [rule for rule in rules if not rule.selects]
    selecting = gates(rules, subject.node)
    if not selecting and not unread:
        return RuleResult(rule=ID, status=Status.NOT_APPLICABLE, reason="No NodeReadinessRule selects this node.")
    rows = [finding for gate in selecting if gate.unmet and (finding := _finding(subject, gate)) is not None]
    lack = None
    if unread:
        lack = (Status.UNKNOWN, f"The node selector of NodeReadinessRule {unread[0].name} cannot be read.")
    return answer(subject, ID, rows, lack=lack, blind=[rule.name for rule in unread])


def _finding(subject: NodeSubject, gate: Gate) -> Finding | None:
    rule = gate.rule
    why = ", ".join(map(_words, gate.unmet[:_MOST]))
    severity = Severity.INFO
    if rule.dry_run:
        text = f"NodeReadinessRule {rule.name} would keep the node out (dry run): {why}."
        remedy = "Nothing is enforced. Check that these are the nodes you expect before you turn off dryRun."
    elif gate.tainted:
        severity = Severity.INFO if subject.booted_within(subject.cluster.history.boot_grace) else Severity.WARNING
        text = f"NodeReadinessRule {rule.name} keeps the node out: {why}."
        remedy = (
            f"Look at what sets the condition: kubectl describe node {subject.node.name}\n"
            f"The controller removes the taint {rule.taint.key} once the conditions are met. If removed earlier, it is set again"
            f"{'' if rule.continuous else ' unless the node counts as started'}."
        )
    elif rule.continuous:
        text = f"NodeReadinessRule {rule.name} is not met, but its taint is missing: {why}."
        remedy = "Check that the Node Readiness Controller runs: it should taint the node within a minute."
    else:
        return None  # bootstrap-only: the node met the conditions once
    return Finding(
        rule=ID,
        severity=severity,
        text=text,
        key=rule.name,
        evidence=(*map(_evidence, gate.unmet[:_MOST]), *_taint(gate)),
        remedy=remedy,
    )


def _words(condition: Unmet) -> str:
    since = f" since {condition.since:%Y-%m-%d %H:%M} UTC" if condition.since else ""
    current = f"is {condition.status}{since}" if condition.status else "is missing"
    return f"condition {condition.type} {current} and must be {condition.required}"


def _evidence(condition: Unmet) -> Evidence:
    return Evidence("condition", condition.type, condition.status)


def _taint(gate: Gate) -> tuple[Evidence, ...]:
    taint = gate.rule.taint
    return (Evidence("taint", taint.key, f"{taint.value}:{taint.effect}".lstrip(":")),) if gate.tainted else ()


RULE = Rule(
    id=ID, title="Held by a NodeReadinessRule", severity=Severity.WARNING, needs=("nodes", "readiness_rules"), check=check
)
