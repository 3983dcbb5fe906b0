"""GPU memory that has been all but full for a while: information, because model servers take their memory on purpose."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.measuring import Card, by_card
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject
from fleet.domain.telemetry import DeviceSample

ID = "framebuffer_pressure"
_USED, _FREE, _RESERVED = "fb_used", "fb_free", "fb_reserved"


def check(subject: NodeSubject) -> RuleResult:
    """Each device for itself: a MIG instance has memory of its own."""
    return by_card(subject, ID, (_USED, _FREE), _look)


def _look(card: Card) -> Iterable[Finding] | None:
    shares = [(sample, _share(sample)) for sample in card.samples]
    limits = thresholds.load().framebuffer
    found = [_finding(sample) for sample, share in shares if share is not None and share >= limits.used_ratio]
    return found if found or all(share is not None for _, share in shares) else None


def _share(sample: DeviceSample) -> float | None:
    """Used ÷ (used + free + reserved), 0 to 1. Older exporters tell no reserved memory."""
    if _USED not in sample.values or _FREE not in sample.values:
        return None
    total = sample.values[_USED] + sample.values[_FREE] + sample.values.get(_RESERVED, 0)
    return sample.values[_USED] / total if total > 0 else None


def _finding(sample: DeviceSample) -> Finding:
    limits = thresholds.load().framebuffer
    where = f"{sample.uuid[:12]}, instance {sample.gi_id}" if sample.gi_id else sample.uuid[:12]
    return Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"The memory of {where} has been at least {limits.used_ratio:.0%} full for {limits.sustain_s // 60} minutes.",
        key=sample.key,
        subject="mig_instance" if sample.gi_id else "gpu",
        evidence=(Evidence("dcgm", "memory used", f"≥ {limits.used_ratio:.0%}"),),
        remedy="A model server that reserves its KV cache looks like this. Otherwise the next allocation may fail.",
        sustain_s=limits.sustain_s,
    )


RULE = Rule(id=ID, title="GPU memory full", needs=(), check=check)
