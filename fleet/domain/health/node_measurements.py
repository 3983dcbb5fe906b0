"""A node's GPUs as this run measured them, and rule results that pass on evidence only: shared by the health rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import msgspec

from fleet.domain.catalog import metrics, thresholds
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.evaluation.rules import for_newest
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Finding, RuleResult, Severity, Status
from fleet.domain.snapshot import DraDevice
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample

_SEPARATORS = re.compile(r"[-_\s]+")
_SERIES = ("xid_counts", "watches", "clock_events")
BESIDE_GPUS = frozenset(
    {"out_of_service", "pods_refused", "predicted_to_fail", "readiness_rule", "stuck_out_of_service", "upgrade_pending"}
)
"""Rules whose pass is no evidence of a GPU's health."""
RUNG = "telemetry_healthy"
"""The rung that every health finding explains."""


class SampledGpu(msgspec.Struct, frozen=True, kw_only=True):
    """One physical GPU: its samples of this run (its own, or those of its MIG instances) and of the run before."""

    uuid: str
    samples: tuple[DeviceSample, ...]
    before: tuple[DeviceSample, ...] = ()

    @property
    def short(self) -> str:
        """Returns the beginning of the UUID, for sentences."""
        return self.uuid[:12]

    @property
    def is_present(self) -> bool:
        """Returns whether the exporter has a series besides its last Xid, the only series left of a GPU that fell off the bus."""
        return any(sample.is_measured for sample in self.samples)

    def value(self, metric: str) -> float | None:
        """Returns the highest value of the GPU and its instances; None without any."""
        return max((sample.values[metric] for sample in self.samples if metric in sample.values), default=None)

    def grown(self, metric: str) -> tuple[float, timedelta] | None:
        """Returns by how much a counter grew since the run before, and in which time; None without two samples.

        A counter that fell was reset with the driver: its value is what came since.
        """
        rows = []
        for sample in self.samples:
            for earlier in self.before:
                if earlier.gi_id == sample.gi_id and metric in earlier.values and metric in sample.values:
                    was, now, gap = earlier.values[metric], sample.values[metric], sample.at - earlier.at
                    if gap > timedelta():
                        rows.append((now - was if now >= was else now, gap))
        return max(rows, default=None)


@for_newest
def gpus(subject: NodeSubject) -> tuple[SampledGpu, ...]:
    """Returns the GPUs of a node with a recent sample, by UUID."""
    now: dict[str, list[DeviceSample]] = {}
    for sample in subject.samples:
        if sample.uuid and subject.is_recent(sample.at):
            now.setdefault(sample.uuid, []).append(sample)
    before: dict[str, list[DeviceSample]] = {}
    for sample in subject.history.samples:
        before.setdefault(sample.uuid, []).append(sample)
    return tuple(
        SampledGpu(
            uuid=uuid,
            samples=tuple(samples if len(samples) == 1 else sorted(samples, key=lambda sample: (sample.gi_id, sample.at))),
            before=tuple(before.get(uuid, ())),
        )
        for uuid, samples in sorted(now.items())
    )


def exporter_answers(subject: NodeSubject) -> bool:
    """Returns whether an exporter of this node answered when it was last asked; without any report, by its series."""
    return not subject.exporters or any(report.outcome is Outcome.COLLECTED for report in subject.exporters)


def is_exported(subject: NodeSubject, name: str) -> bool:
    """Returns whether the node's exporters have `name` for any device: a metric's id, or a field of the exporter's own series."""
    if any(name in report.metrics for report in subject.exporters):
        return True
    if name in _SERIES:
        return any(getattr(sample, name) for sample in subject.samples)
    return any(name in sample.values for sample in subject.samples)


def unmeasured(subject: NodeSubject, measured: Sequence[SampledGpu] | None = None) -> tuple[Status, str] | None:
    """Returns why nothing is measured on this node; None where something is. `measured` are its GPUs, if already known."""
    if gpus(subject) if measured is None else measured:
        return None
    if subject.exporters:
        reasons = [report.reason for report in subject.exporters if report.outcome is not Outcome.COLLECTED and report.reason]
        return Status.UNKNOWN, reasons[0] if reasons else "The exporter has no recent sample of any GPU."
    section = subject.snapshot.section("telemetry")
    if not section.complete:
        return Status.UNKNOWN, section.reason or "The exporters were not read."
    if subject.snapshot.has_exporters:
        return Status.UNKNOWN, "No exporter was read on this node, though other nodes have one."
    return Status.NOT_ENABLED, "No exporter of GPU metrics runs on this cluster. Install dcgm-exporter."


def is_one_of(product: str, models: Iterable[str]) -> bool:
    """Returns whether a product's name, in any vendor's spelling, contains one of these words."""
    return not set(_SEPARATORS.split(product.upper())).isdisjoint(models)


def remaps_rows(subject: NodeSubject) -> bool:
    """Returns whether the memory rows of this node's GPUs can be remapped; also for unknown models."""
    limits = thresholds.load().row_remap
    return subject.devices.family not in limits.families_without and not is_one_of(
        subject.devices.product, limits.products_without
    )


def short_of(subject: NodeSubject, seen: int) -> str:
    """Returns a sentence where `seen` GPUs are fewer than counted or expected; empty where they are not, or nothing is known."""
    known = subject.devices.physical
    if known is None:
        known = subject.history.expected
    return f"Only {seen} of {known} physical GPUs are measured." if known is not None and seen < known else ""


def not_enabled(subject: NodeSubject, wanted: Sequence[str]) -> str:
    """Returns what to add to the exporter's counters to export `wanted` (metric ids, or fields of its own series)."""
    known = metrics.csv_lines()
    titles = ", ".join(known[name][0] for name in wanted)
    lines = "\n".join(known[name][1] for name in wanted)
    return f"Not exported: {titles}. Add to the exporter's counters:\n{lines}"


def by_gpu(
    subject: NodeSubject,
    rule: str,
    wanted: Sequence[str],
    check_gpu: Callable[[SampledGpu], Iterable[Finding] | None],
    *,
    parts: Iterable[str] = (),
    remembered: Sequence[Finding] = (),
) -> RuleResult:
    """Applies `check_gpu` to every GPU. It returns findings, or None where this GPU lacks a value that it needs.

    `wanted` has to be exported: without it the result is not_enabled, with the lines to add. `parts` may follow a GPU's UUID in a
    finding's key. `remembered` are findings that do not depend on what is measured now.
    """
    measured = gpus(subject)
    quiet = unmeasured(subject, measured)
    if quiet is not None:
        return answer(subject, rule, remembered, lack=quiet)
    findings: list[Finding] = list(remembered)
    without: list[str] = []
    for gpu in measured:
        result = check_gpu(gpu)
        if result is None:
            without.append(gpu.uuid)
        else:
            findings.extend(result)
    lack = _lack(subject, wanted, len(measured), complete=not without)
    if lack is None and not findings:
        return answer(subject, rule, findings)
    dark = {*without, *_not_measured(subject, measured)}
    keys = dark | {f"{uuid}/{part}" for uuid in dark for part in parts}
    keys |= {sample.key for sample in subject.history.samples if sample.uuid in dark}
    return answer(subject, rule, findings, lack=lack, blind=sorted(keys))


def _lack(subject: NodeSubject, wanted: Sequence[str], measured: int, *, complete: bool) -> tuple[Status, str] | None:
    """Returns why a rule cannot pass; None where every GPU has what it needs."""
    missing = [name for name in wanted if not is_exported(subject, name)]
    if missing and subject.devices.vendor not in ("", "nvidia"):
        return Status.NOT_APPLICABLE, "The exporter of this vendor's GPUs does not export it."
    if missing:
        return Status.NOT_ENABLED, not_enabled(subject, missing)
    if not complete:
        return Status.UNKNOWN, "Not every GPU has a value, or two values to compare."
    reason = short_of(subject, measured)
    return (Status.UNKNOWN, reason) if reason else None


def answer(
    subject: NodeSubject,
    rule: str,
    findings: Sequence[Finding],
    *,
    lack: tuple[Status, str] | None = None,
    blind: Sequence[str] = (),
) -> RuleResult:
    """Returns a rule's result: fail or warn by its worst finding, however little else was measured.

    Pass only without `lack`, the reason why it cannot. Findings that have not lasted long enough, and information, change no
    status.
    """
    worst = max((finding.severity.rank for finding in findings if has_lasted(subject, finding)), default=0)
    if worst >= Severity.WARNING.rank:
        status = Status.FAIL if worst >= Severity.CRITICAL.rank else Status.WARN
        return RuleResult(rule=rule, status=status, findings=tuple(findings), blind=tuple(blind))
    if lack is not None:
        return RuleResult(rule=rule, status=lack[0], reason=lack[1], findings=tuple(findings), blind=tuple(blind))
    return RuleResult(rule=rule, status=Status.PASS, findings=tuple(findings))


def has_lasted(subject: NodeSubject, finding: Finding) -> bool:
    """Returns whether a finding has been seen for as long as it must last."""
    since = subject.history.pending.get(f"{finding.rule}|{finding.key}")
    if since is None:
        return finding.sustain_s <= 0
    return subject.clock.has_reached(since, timedelta(seconds=finding.sustain_s))


def _not_measured(subject: NodeSubject, measured: Sequence[SampledGpu]) -> set[str]:
    """Returns UUIDs of earlier GPUs that this run does not measure."""
    known = {*subject.history.known_uuids, *(sample.uuid for sample in subject.history.samples)}
    return known - {gpu.uuid for gpu in measured}


_LOST_TAINT = "gpu.nvidia.com/gpu-lost"


def unheld_uuids(devices: NodeDevices, published: Iterable[DraDevice]) -> frozenset[str]:
    """Returns UUIDs of GPUs in ResourceSlices that no claim uses and that the driver does not report as lost.

    dcgm-exporter 4.4.1 to 4.5.2 leaves such GPUs out (NVIDIA/dcgm-exporter#569): they are unmeasured, not lost.
    """
    lost = {device.uuid for device in published if any(taint.key == _LOST_TAINT for taint in device.taints)}
    free = {gpu.uuid for gpu in devices.cards if gpu.source == "resource_slice" and gpu.held is False and gpu.uuid}
    return frozenset(free - lost)
