"""A node or device that stays quarantined, drained, tainted or cordoned although the cause that was stated for it is gone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.node_upgrade import upgrading
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.conditions import monitor_conditions
from fleet.domain.health.holds import CORDON, Hold, holds_of
from fleet.domain.health.node_measurements import answer
from fleet.domain.health.signals import meaning
from fleet.domain.snapshot.nodes import FieldManager

ID = "stuck_out_of_service"


def check(subject: NodeSubject) -> RuleResult:
    """Returns a finding for each hold whose cause is gone, after an hour.

    Planned maintenance, in Muster or by a provider, is never stuck. Without conditions, or with one that is unknown, the cause
    may still be there.
    """
    if not subject.node.conditions:
        return RuleResult(rule=ID, status=Status.UNKNOWN, reason="The node has no conditions: causes are unknown.")
    if subject.policy.maintenance or _is_announced(subject) or _changes(subject):
        return RuleResult(rule=ID, status=Status.NOT_APPLICABLE, reason="The node is in planned maintenance.")
    holds = holds_of(subject)
    unclear = [hold for hold in holds if hold.cause is None]
    rows = [_finding(subject, hold) for hold in holds if hold.cause is False]
    lack = None
    if unclear:
        lack = (Status.UNKNOWN, f"It is unknown whether the cause of {unclear[0].name} is resolved.")
    return answer(subject, ID, rows, lack=lack, blind=[hold.name for hold in unclear])


def _is_announced(subject: NodeSubject) -> bool:
    """Returns whether a provider or tool announces maintenance of the node: by a label, annotation, taint or condition."""
    if meaning(subject, "maintenance"):
        return True
    return any(condition.bad and condition.area == "maintenance" for condition in monitor_conditions(subject.node))


def _changes(subject: NodeSubject) -> bool:
    return upgrading(subject) or subject.node.labels.get(labels.MIG_CONFIG_STATE, "") in labels.MIG_STATE_CHANGING


def _finding(subject: NodeSubject, hold: Hold) -> Finding:
    cordoned = subject.node.unschedulable and not hold.device
    name = subject.node.name
    uncordon = f"kubectl uncordon {name}\n" if cordoned and hold.place != "cordon" else ""
    own = Evidence("node", CORDON, "true")
    evidence = [own] if hold.place == "cordon" else [Evidence(_SOURCES.get(hold.place, hold.place), hold.key, hold.value)]
    if cordoned and hold.place != "cordon":
        evidence.append(own)
    return Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"{_sentence(hold)}{_set_by(hold.setters)}",
        key=hold.name,
        subject="gpu" if hold.device else "node",
        evidence=(*evidence, *map(_evidence, hold.setters)),
        remedy=f"{uncordon}{_REMOVE[hold.place].format(name=name, key=shlex.quote(hold.key), value=shlex.quote(hold.value))}",
        sustain_s=thresholds.load().out_of_service.stuck_s,
    )


def _sentence(hold: Hold) -> str:
    why = hold.why or "reports no fault any more"
    if hold.device:
        return f"{hold.holder} keeps device {hold.device} from the scheduler ({hold.key}), but {why}."
    return f"{hold.holder} keeps the node out of service ({hold.key}), but {why}."


def _set_by(setters: Sequence[FieldManager]) -> str:
    names = dict.fromkeys(setter.manager for setter in setters)
    return f" Set by {' and '.join(names)}." if names else ""


def _evidence(setter: FieldManager) -> Evidence:
    at = f" at {setter.at:%Y-%m-%d %H:%M} UTC" if setter.at else ""
    return Evidence("managed_fields", setter.field, f"{setter.manager}{at}")


_SOURCES = {"device_taint": "resource_slice"}
_REMOVE = {
    "label": "kubectl label node {name} {key}-",
    "annotation": "kubectl annotate node {name} {key}-",
    "taint": "kubectl taint node {name} {key}-",
    "pod_condition": "Resume the node in Slurm: scontrol update nodename={name} state=resume",
    "cordon": "kubectl uncordon {name}",
    "taint_rule": "kubectl delete devicetaintrule {value}",
    "device_taint": "Restart the DRA driver's kubelet plugin on {name}: it publishes healthy devices without the taint.",
}

RULE = Rule(id=ID, title="Stuck out of service", severity=Severity.WARNING, needs=("nodes", "pods"), check=check)
