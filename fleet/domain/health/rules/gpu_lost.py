"""A card that telemetry named before and names no more, while its exporter answers: it fell off the bus, or was taken out."""

from __future__ import annotations

from datetime import UTC, datetime

from fleet.domain.catalog.xids import ACTIONS
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.measuring import RUNG, answer, cards, short_of, silence
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "gpu_lost"
_DRA_TAINT = "gpu.nvidia.com/gpu-lost"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def check(subject: NodeSubject) -> RuleResult:
    """Known UUIDs against those of this look. Where as many cards are there as should be, the missing ones were replaced."""
    tainted = [
        _finding(device.uuid or device.name, Evidence("resource_slice", "device taint", _DRA_TAINT))
        for device in subject.dra_devices
        if any(taint.key == _DRA_TAINT for taint in device.taints)
    ]
    quiet = silence(subject)
    if quiet is not None:
        return answer(subject, ID, tainted, lack=quiet)
    age = subject.age_of_boot()
    if age is not None and age < subject.cluster.boot_grace:
        return answer(subject, ID, tainted, lack=(Status.WAITING, "The node has just started; its GPUs may still come up."))
    named = {finding.key for finding in tainted}
    found = tainted + [
        _finding(uuid, Evidence("dcgm", uuid, "no longer reported")) for uuid in _lost(subject) if uuid not in named
    ]
    reason = short_of(subject, len(_present(subject)))
    return answer(subject, ID, found, lack=(Status.UNKNOWN, reason) if reason else None)


def _lost(subject: NodeSubject) -> list[str]:
    """As many UUIDs as cards are missing, those seen last first: the others were replaced long ago."""
    present = _present(subject)
    seen = {sample.uuid: sample.at for sample in sorted(subject.memory.samples, key=lambda sample: sample.at)}
    known = set(subject.memory.known_uuids) | set(seen)
    missing = sorted(known - present, key=lambda uuid: (seen.get(uuid, _LONG_AGO), uuid), reverse=True)
    expected = subject.memory.expected
    if expected is None:
        expected = subject.devices.physical
    if expected is None:
        return missing[: max(len(missing) - len(present - known), 0)]
    return missing[: max(expected - len(present), 0)]


def _present(subject: NodeSubject) -> set[str]:
    return {card.uuid for card in cards(subject) if card.is_there}


def _finding(uuid: str, evidence: Evidence) -> Finding:
    return Finding(
        rule=ID,
        severity=Severity.FATAL,
        text=f"{uuid[:12]} is gone: it was there before, and is reported no more.",
        key=uuid,
        subject="gpu",
        evidence=(evidence,),
        remedy=f"Look for Xid 79 in the kernel log. {ACTIONS['reboot']}\nIf the card does not come back, have it replaced.",
        rung=RUNG,
    )


RULE = Rule(id=ID, title="GPU lost", needs=(), check=check)
