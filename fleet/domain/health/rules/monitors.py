"""External monitors' statements about this node.

Conditions, each with its own polarity, and Kubernetes Events, shown with their source. Xids in Events belong to the rule of
Xid errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from fleet.domain.catalog import thresholds, xids
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import REPORTED_BY, Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.conditions import GPU_AREAS, MonitorCondition, monitor_conditions
from fleet.domain.health.events import MonitorEvent, monitor_events
from fleet.domain.health.node_measurements import RUNG, answer
from fleet.domain.health.signals import NodeSignal, signals

ID = "monitors"
_JUDGING = ("fault", "warning", "good")
_NONE = "No outside monitor (NVSentinel, EKS, AKS, node-problem-detector …) writes conditions on this node."


def check(subject: NodeSubject) -> RuleResult:
    """Evaluates monitors' statements as evidence for what they watch; without any statement the result is not_enabled."""
    item, warned = monitor_conditions(subject.node), list(_warnings(subject))
    stated = signals(subject)
    rows = [*(_finding(subject, entry) for entry in item if entry.bad), *map(_of_signal, _faults(stated)), *warned]
    areas = {row.area for row in item} | {signal.area for signal in stated if signal.meaning in _JUDGING}
    names = [value.monitor for value in item] + [signal.monitor for signal in stated]
    unsure = [values for values in item if values.bad is None]
    lack = None
    if unsure:
        lack = (Status.UNKNOWN, f"{unsure[0].monitor} reports an unknown status: {unsure[0].type}={unsure[0].status}.")
    elif not areas:
        lack = (Status.NOT_ENABLED, _NONE)
    elif areas.isdisjoint(GPU_AREAS):
        lack = (Status.NOT_ENABLED, "The monitors of this node do not watch its GPUs.")
    elif not subject.snapshot.knows("events"):
        lack = (Status.UNKNOWN, f"Events were not read, so warnings of {names[0]} are unknown.")
    result = answer(subject, ID, rows, lack=lack, blind=[each.type for each in unsure])
    # conditions and Events were read, so every report is known, even where none of them proves health
    return msgspec.structs.replace(result, sure=bool(subject.node.conditions) and subject.snapshot.knows("events"))


def _warnings(subject: NodeSubject) -> Iterator[Finding]:
    """Yields monitors' warnings in Events of the last hours, once for each kind.

    Without a count, a repetition does not change the finding. Events break nothing: failures are conditions.
    """
    sticky = thresholds.load().xid.sticky
    latest = {
        (monitor_event.monitor, monitor_event.word): monitor_event
        for monitor_event in monitor_events(subject.events)
        if not monitor_event.codes and not subject.clock.has_reached(monitor_event.at, sticky)
    }
    for _, item in sorted(latest.items()):
        yield _warning(item, subject.node.name)


def _warning(monitor_event: MonitorEvent, node: str) -> Finding:
    gpus = [Evidence("event", "GPU", uuid) for uuid in monitor_event.uuids]
    advice = [Evidence("event", "recommended action", monitor_event.advice)] if monitor_event.advice else []
    return Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"{monitor_event.monitor} warned in an Event: {monitor_event.word}.",
        key=f"event/{monitor_event.word}",
        evidence=(
            Evidence("event", monitor_event.word, "warning"),
            Evidence("event", REPORTED_BY, monitor_event.monitor),
            *gpus,
            *advice,
        ),
        remedy=f"{monitor_event.monitor} recommends {monitor_event.advice}."
        if monitor_event.advice
        else f"Read the Event's message: kubectl describe node {node}",
    )


def _faults(stated: Iterable[NodeSignal]) -> list[NodeSignal]:
    """Returns faults and warnings that are not conditions, one for each key."""
    return list({signal.key: signal for signal in stated if signal.meaning in ("fault", "warning")}.values())


def _of_signal(signal: NodeSignal) -> Finding:
    gpu = signal.area in GPU_AREAS
    return Finding(
        rule=ID,
        severity=Severity.CRITICAL if gpu and signal.meaning == "fault" else Severity.WARNING,
        text=f"{signal.monitor} reports {signal.key}={signal.value}.",
        key=signal.key,
        evidence=(Evidence(signal.place, signal.key, signal.value),),
        remedy=f"Read what {signal.monitor} found on the node before it goes back into service.",
        rung=RUNG if gpu else "",
    )


def _finding(subject: NodeSubject, monitor_condition: MonitorCondition) -> Finding:
    meanings = [xids.policy(code, subject.cluster.history.xids) for code in monitor_condition.codes]
    gpus = [Evidence("condition", "GPU", uuid) for uuid in monitor_condition.uuids]
    advice = [Evidence("condition", "recommended action", monitor_condition.advice)] if monitor_condition.advice else []
    codes = [Evidence("condition", "Xid", f"{meaning.code} ({meaning.name})") for meaning in meanings]
    because = f": {monitor_condition.reason}" if monitor_condition.reason else ""
    lines = [f"{monitor_condition.monitor} recommends {monitor_condition.advice}."] if monitor_condition.advice else []
    lines += [xids.ACTIONS.get(meaning.action, "") for meaning in meanings]
    return Finding(
        rule=ID,
        severity=_severity(monitor_condition, [Severity(meaning.severity) for meaning in meanings]),
        text=f"{monitor_condition.monitor} reports {monitor_condition.type}={monitor_condition.status}{because}.",
        key=monitor_condition.type,
        evidence=(Evidence("condition", monitor_condition.type, monitor_condition.status), *codes, *gpus, *advice),
        remedy="\n".join(line for line in dict.fromkeys(lines) if line)
        or f"Look at the condition's message and at {monitor_condition.monitor}.",
        rung=RUNG if monitor_condition.area in GPU_AREAS else "",
    )


def _severity(monitor_condition: MonitorCondition, of_codes: list[Severity]) -> Severity:
    """Returns the severity of the named codes by Muster's own policy; a report of an Xid without its code weighs little."""
    if of_codes:
        return max(of_codes, key=lambda severity: severity.rank)
    fatal = monitor_condition.critical or monitor_condition.area in GPU_AREAS - {"xid"}
    return Severity.CRITICAL if fatal else Severity.WARNING


RULE = Rule(id=ID, title="Outside monitors", severity=Severity.FATAL, needs=(), check=check)
