"""Monitors that contradict each other or DCGM about the same area: one of them is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.conditions import GPU_AREAS, MonitorCondition, monitor_conditions
from fleet.domain.health.node_measurements import SampledGpu, answer, gpus, not_enabled, short_of, unmeasured
from fleet.domain.health.xids import last_code

ID = "monitors_disagree"
_WATCHES = {
    "gpu": "ALL",
    "memory": "MEM",
    "thermal": "THERMAL",
    "power": "POWER",
    "pcie": "PCIE",
    "nvlink": "NVLINK",
    "sm": "SM",
    "mcu": "MCU",
    "pmu": "PMU",
    "inforom": "INFOROM",
    "driver": "DRIVER",
}
_FAIL = 20


class _Voice(msgspec.Struct, frozen=True, kw_only=True):
    who: str
    bad: bool
    evidence: Evidence


def check(subject: NodeSubject) -> RuleResult:
    """Returns pass only where DCGM reports on every area that a monitor reports on."""
    rows = [
        monitor_condition
        for monitor_condition in monitor_conditions(subject.node)
        if monitor_condition.area in GPU_AREAS and monitor_condition.bad is not None
    ]
    if not rows:
        return RuleResult(rule=ID, status=Status.NOT_APPLICABLE, reason="No outside monitor reports on this node's GPUs.")
    measured = gpus(subject)
    item, unheard = [], []
    for area in sorted({entry.area for entry in rows}):
        dcgm = _dcgm(subject, area, measured)
        if dcgm is None:
            unheard.append(area)
        finding = _contradiction(area, rows, dcgm)
        if finding is not None:
            item.append(finding)
    lack = None
    if unheard:
        watches_missing = not any(sample.watches for gpu in measured for sample in gpu.samples)
        reason = not_enabled(subject, ("watches",)) if watches_missing else f"DCGM does not report: {', '.join(unheard)}."
        lack = unmeasured(subject) or (Status.NOT_ENABLED if watches_missing else Status.UNKNOWN, reason)
    elif reason := short_of(subject, len(measured)):
        lack = (Status.UNKNOWN, reason)
    result = answer(subject, ID, item, lack=lack)
    return msgspec.structs.replace(result, status=Status.WARN) if item else result


def _contradiction(area: str, monitor_conditions: Sequence[MonitorCondition], dcgm: _Voice | None) -> Finding | None:
    result = [_voice(entry) for entry in monitor_conditions if entry.area == area] + ([dcgm] if dcgm else [])
    bad = [voice for voice in result if voice.bad]
    # a source that reports the whole GPU as healthy reports so for each of its parts
    whole = [_voice(row) for row in monitor_conditions if row.area == "gpu" and area != "gpu"]
    good = [voice for voice in (*result, *whole) if not voice.bad]
    pairs = [(rows, other) for rows in bad for other in good if rows.who != other.who]
    if not pairs:
        return None
    item, other = pairs[0]
    named = dict.fromkeys(voice.evidence for pair in pairs for voice in pair)
    return Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"{item.who} reports a fault ({area}) that {other.who} does not.",
        key=area,
        evidence=tuple(named),
        remedy="One of the two is wrong or late. Check the kernel log of the node before acting: dmesg -T | grep NVRM",
    )


def _voice(monitor_condition: MonitorCondition) -> _Voice:
    return _Voice(
        who=monitor_condition.monitor,
        bad=bool(monitor_condition.bad),
        evidence=Evidence("condition", monitor_condition.type, monitor_condition.status),
    )


def _dcgm(subject: NodeSubject, area: str, measured: Sequence[SampledGpu]) -> _Voice | None:
    """Returns DCGM's statement on an area: its health watch, its number of GPUs, or that no GPU ever had an Xid.

    None without one.
    """
    samples = [sample for gpu in measured for sample in gpu.samples]
    if not samples:
        return None
    if area == "count":
        expected = subject.history.expected
        if expected is None:
            return None
        there = sum(1 for gpu in measured if gpu.is_present)
        count = Evidence("dcgm", "physical GPUs", f"{there} of {expected}")
        return _Voice(who="DCGM", bad=there < expected, evidence=count)
    if area == "xid":
        codes = [last_code(sample) for sample in samples]
        return _Voice(who="DCGM", bad=False, evidence=Evidence("dcgm", "last Xid", "0")) if set(codes) == {0} else None
    watch = _WATCHES.get(area, "")
    values = [sample.watches.get(watch) for sample in samples]
    known_values = [value for value in values if value is not None]
    if not known_values or (None in values and max(known_values) < _FAIL) or 0 < max(known_values) < _FAIL:
        return None
    failed = max(known_values) >= _FAIL
    return _Voice(who="DCGM", bad=failed, evidence=Evidence("dcgm", f"GPU_HEALTH_STATUS {watch}", "fail" if failed else "pass"))


RULE = Rule(id=ID, title="Monitors disagree", severity=Severity.INFO, needs=(), check=check)
