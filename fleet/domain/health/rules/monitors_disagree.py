"""Monitors that contradict each other or DCGM about the same thing: one of them is wrong, and people should know."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.conditions import GPU_AREAS, Told, told
from fleet.domain.health.measuring import Card, answer, cards, not_enabled, short_of, silence
from fleet.domain.health.xids import last_code
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

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
    """Agreement takes two: it passes only where DCGM was heard on everything that a monitor speaks of."""
    said = [one for one in told(subject.node) if one.area in GPU_AREAS and one.bad is not None]
    if not said:
        return RuleResult(rule=ID, status=Status.NOT_APPLICABLE, reason="No outside monitor speaks of this node's GPUs.")
    measured = cards(subject)
    found, unheard = [], []
    for area in sorted({one.area for one in said}):
        dcgm = _dcgm(subject, area, measured)
        if dcgm is None:
            unheard.append(area)
        finding = _contradiction(area, said, dcgm)
        if finding is not None:
            found.append(finding)
    lack = None
    if unheard:
        watches_missing = not any(sample.watches for card in measured for sample in card.samples)
        reason = not_enabled(subject, ("watches",)) if watches_missing else f"DCGM says nothing of: {', '.join(unheard)}."
        lack = silence(subject) or (Status.NOT_ENABLED if watches_missing else Status.UNKNOWN, reason)
    elif reason := short_of(subject, len(measured)):
        lack = (Status.UNKNOWN, reason)
    result = answer(subject, ID, found, lack=lack)
    return msgspec.structs.replace(result, status=Status.WARN) if found else result


def _contradiction(area: str, said: Sequence[Told], dcgm: _Voice | None) -> Finding | None:
    here = [_voice(one) for one in said if one.area == area] + ([dcgm] if dcgm else [])
    bad = [voice for voice in here if voice.bad]
    # who finds the whole GPU good says so of every part of it
    whole = [_voice(one) for one in said if one.area == "gpu" and area != "gpu"]
    good = [voice for voice in (*here, *whole) if not voice.bad]
    pairs = [(one, other) for one in bad for other in good if one.who != other.who]
    if not pairs:
        return None
    one, other = pairs[0]
    named = dict.fromkeys(voice.evidence for pair in pairs for voice in pair)
    return Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"{one.who} finds a fault ({area}) that {other.who} does not see.",
        key=area,
        evidence=tuple(named),
        remedy="One of the two is wrong or late. Look at the kernel log of the node before you act on either.",
    )


def _voice(one: Told) -> _Voice:
    return _Voice(who=one.monitor, bad=bool(one.bad), evidence=Evidence("condition", one.type, one.status))


def _dcgm(subject: NodeSubject, area: str, measured: Sequence[Card]) -> _Voice | None:
    """What DCGM says of an area: its health watch, the cards it counts, or that no card ever had an Xid. None: no word."""
    samples = [sample for card in measured for sample in card.samples]
    if not samples:
        return None
    if area == "count":
        expected = subject.memory.expected
        if expected is None:
            return None
        there = sum(1 for card in measured if card.is_there)
        count = Evidence("dcgm", "physical GPUs", f"{there} of {expected}")
        return _Voice(who="DCGM", bad=there < expected, evidence=count)
    if area == "xid":
        codes = [last_code(sample) for sample in samples]
        return _Voice(who="DCGM", bad=False, evidence=Evidence("dcgm", "last Xid", "0")) if set(codes) == {0} else None
    watch = _WATCHES.get(area, "")
    values = [sample.watches.get(watch) for sample in samples]
    heard = [value for value in values if value is not None]
    if not heard or (None in values and max(heard) < _FAIL) or 0 < max(heard) < _FAIL:
        return None
    failed = max(heard) >= _FAIL
    return _Voice(who="DCGM", bad=failed, evidence=Evidence("dcgm", f"GPU_HEALTH_STATUS {watch}", "fail" if failed else "pass"))


RULE = Rule(id=ID, title="Monitors disagree", needs=(), check=check)
