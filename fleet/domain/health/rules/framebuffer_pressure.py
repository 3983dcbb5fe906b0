"""GPU memory that has been nearly full for a while: information, because model servers take their memory on purpose."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.node_measurements import SampledGpu, by_gpu
from fleet.domain.snapshot.telemetry import DeviceSample

ID = "framebuffer_pressure"
_USED, _FREE, _RESERVED = "fb_used", "fb_free", "fb_reserved"


def check(subject: NodeSubject) -> RuleResult:
    """Evaluates each device alone: a MIG instance has its own memory."""
    return by_gpu(subject, ID, (_USED, _FREE), _look)


def _look(gpu: SampledGpu) -> Iterable[Finding] | None:
    shares = [(sample, _share(sample)) for sample in gpu.samples]
    limits = thresholds.load().framebuffer
    rows = [_finding(sample) for sample, share in shares if share is not None and share >= limits.used_ratio]
    return rows if rows or all(share is not None for _, share in shares) else None


def _share(sample: DeviceSample) -> float | None:
    """Returns used ÷ (used + free + reserved), 0 to 1. Older exporters report no reserved memory."""
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
        remedy="Expected for a model server that reserves its KV cache. Otherwise the next allocation may fail.",
        sustain_s=limits.sustain_s,
    )


RULE = Rule(id=ID, title="GPU memory full", severity=Severity.INFO, needs=(), check=check)
