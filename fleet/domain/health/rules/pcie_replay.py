"""PCIe transfers that were repeated: a few are corrected by the link, many point to a bad slot, riser or cable."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.health.node_measurements import RUNG, SampledGpu, by_gpu

ID = "pcie_replay"
_METRIC = "pcie_replay"


def check(subject: NodeSubject) -> RuleResult:
    """Evaluates replays per minute between two runs."""
    return by_gpu(subject, ID, (_METRIC,), _look)


def _look(gpu: SampledGpu) -> Iterable[Finding] | None:
    grown = gpu.grown(_METRIC)
    if grown is None:
        return None
    limits = thresholds.load().pcie
    more, gap = grown
    if more * 60 / gap.total_seconds() < limits.replays_per_minute:
        return []
    return [
        Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"{gpu.short} repeats many PCIe transfers.",
            key=gpu.uuid,
            subject="gpu",
            evidence=(Evidence("dcgm", "PCIE_REPLAY_COUNTER", f"≥ {limits.replays_per_minute:g} per minute"),),
            remedy="Reseat the GPU or its riser and cable; compare the link's width and speed with its neighbours'.",
            rung=RUNG,
            sustain_s=limits.sustain_s,
        )
    ]


RULE = Rule(id=ID, title="PCIe replays", severity=Severity.WARNING, needs=(), check=check)
