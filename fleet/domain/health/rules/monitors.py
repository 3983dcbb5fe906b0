"""What outside monitors say of this node: in its conditions, each read with its own polarity, and in Kubernetes Events. Shown
as theirs. The Xids that Events tell are the rule of Xid errors' matter."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fleet.domain.catalog import thresholds, xids
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.conditions import GPU_AREAS, Told, told
from fleet.domain.health.events import Heard, heard
from fleet.domain.health.measuring import RUNG, answer
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "monitors"
_NONE = "No outside monitor (NVSentinel, EKS, AKS, node-problem-detector …) writes conditions on this node."


def check(subject: NodeSubject) -> RuleResult:
    """A monitor's word is evidence for what it watches; where none says anything, that is no word at all."""
    said, warned = told(subject.node), list(_warnings(subject))
    found = [*(_finding(subject, one) for one in said if one.bad), *warned]
    unsure = [one for one in said if one.bad is None]
    lack = None
    if unsure:
        lack = (Status.UNKNOWN, f"{unsure[0].monitor} does not know: {unsure[0].type}={unsure[0].status}.")
    elif not said:
        lack = (Status.NOT_ENABLED, _NONE)
    elif not any(one.area in GPU_AREAS for one in said):
        lack = (Status.NOT_ENABLED, "The monitors of this node watch the node, not its GPUs.")
    elif not subject.snapshot.knows("events"):
        lack = (Status.UNKNOWN, f"What {said[0].monitor} may tell in Events was not read.")
    result = answer(subject, ID, found, lack=lack, blind=[one.type for one in unsure])
    # whoever reads the node's conditions and Events knows all that is said, be it nothing that proves health
    return msgspec.structs.replace(result, sure=bool(subject.node.conditions) and subject.snapshot.knows("events"))


def _warnings(subject: NodeSubject) -> Iterator[Finding]:
    """What monitors warn of in Events of the last hours, once for each kind and without a count, that the same told again
    be no news. It breaks nothing: else it were a condition."""
    limit = subject.now - thresholds.load().xid.sticky
    latest = {(one.monitor, one.word): one for one in heard(subject.events) if not one.codes and one.at > limit}
    for _, one in sorted(latest.items()):
        yield _warning(one)


def _warning(one: Heard) -> Finding:
    cards = [Evidence("event", "GPU", uuid) for uuid in one.uuids]
    advice = [Evidence("event", "recommended action", one.advice)] if one.advice else []
    return Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"{one.monitor} warns in an Event: {one.word}.",
        key=f"event/{one.word}",
        evidence=(Evidence("event", one.word, "warning"), *cards, *advice),
        remedy=f"{one.monitor} recommends {one.advice}." if one.advice else f"Look at the Event's message and at {one.monitor}.",
    )


def _finding(subject: NodeSubject, one: Told) -> Finding:
    meanings = [xids.policy(code, subject.cluster.xids) for code in one.codes]
    cards = [Evidence("condition", "GPU", uuid) for uuid in one.uuids]
    advice = [Evidence("condition", "recommended action", one.advice)] if one.advice else []
    codes = [Evidence("condition", "Xid", f"{meaning.code} ({meaning.name})") for meaning in meanings]
    because = f": {one.reason}" if one.reason else ""
    lines = [f"{one.monitor} recommends {one.advice}."] if one.advice else []
    lines += [xids.ACTIONS.get(meaning.action, "") for meaning in meanings]
    return Finding(
        rule=ID,
        severity=_severity(one, [Severity(meaning.severity) for meaning in meanings]),
        text=f"{one.monitor} says {one.type}={one.status}{because}.",
        key=one.type,
        evidence=(Evidence("condition", one.type, one.status), *codes, *cards, *advice),
        remedy="\n".join(line for line in dict.fromkeys(lines) if line)
        or f"Look at the condition's message and at {one.monitor}.",
        rung=RUNG if one.area in GPU_AREAS else "",
    )


def _severity(one: Told, of_codes: list[Severity]) -> Severity:
    """The codes it names weigh as they do in Muster's own policy; a monitor that says "an Xid" and not which, little."""
    if of_codes:
        return max(of_codes, key=lambda severity: severity.rank)
    return Severity.CRITICAL if one.area in GPU_AREAS - {"xid"} else Severity.WARNING


RULE = Rule(id=ID, title="Outside monitors", needs=(), check=check)
