"""Rung 7: telemetry covers every GPU and shows no unhealthy one."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.evaluation.rules import SILENT, could_look
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import BESIDE_GPUS, unheld_uuids
from fleet.domain.quantities import plural
from fleet.domain.readiness.node_evidence import EXPORTERS, State, fresh, logs, part, pod_evidence, steps
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample

_CRITICAL = (Severity.FATAL, Severity.CRITICAL)


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns pass where every physical GPU has a recent sample with a value and no health rule has a critical finding.

    A warning about a GPU makes it warn.

    What an outside monitor wrote as a node condition counts through the health rules: without conditions it is unknown whether
    one wrote any.
    """
    unseen = _out_of_sight(subject, health)
    findings = [finding for result in health for finding in result.findings]
    critical = [finding for finding in (*findings, *unseen) if finding.severity in _CRITICAL]
    if critical:
        return _worst(Status.FAIL, critical)
    samples = fresh(subject)
    if not samples:
        return _silent(subject)
    if subject.history.rungs.get(RUNG.id) not in (None, Status.PASS, Status.WARN) and not _any_new(subject, samples):
        # last known samples prove nothing new
        failing = any(report.outcome is not Outcome.COLLECTED for report in subject.exporters)
        return _silent(subject) if failing else RUNG.says(Status.UNKNOWN, "No new sample since the last run.")
    short = _short(subject, samples)
    if short is not None:
        return short
    reporting = {sample.uuid for sample in samples}
    evidence = (Evidence("telemetry", "GPUs reporting", str(len(reporting))), *_should_report(subject)[1])
    without = sorted(reporting - {sample.uuid for sample in samples if sample.has_values})
    if without:
        reason = f"{plural(len(without), 'GPU')} of {len(reporting)} {'has' if len(without) == 1 else 'have'} no valid value."
        return RUNG.says(Status.UNKNOWN, reason, (*evidence, *_refusals(samples, without)), _REMEDY_INVALID)
    if not subject.node.conditions:
        reason = "All GPUs report, but the node has no conditions: findings of other monitors are unknown."
        return RUNG.says(Status.UNKNOWN, reason, evidence)
    measuring = [result for result in health if result.rule not in BESIDE_GPUS]
    if measuring and all(result.status in SILENT for result in measuring):
        reason = "All GPUs report, but the exporter exports no metric that shows their health."
        return RUNG.says(Status.UNKNOWN, reason, evidence, measuring[0].reason)
    warnings = [finding for finding in (*findings, *unseen) if _weakens(finding)]
    if warnings:
        return _worst(Status.WARN, warnings)
    return RUNG.says(Status.PASS, f"All {plural(len(reporting), 'GPU')} report, without critical findings.", evidence)


def _any_new(subject: NodeSubject, samples: Sequence[DeviceSample]) -> bool:
    """Returns whether a sample is newer than the one of the run before."""
    before = {sample.key: sample.at for sample in subject.history.samples}
    return any(sample.key not in before or sample.at > before[sample.key] for sample in samples)


def _short(subject: NodeSubject, samples: Sequence[DeviceSample]) -> RungResult | None:
    """Returns the result where fewer GPUs than expected have a recent sample; None where all have one."""
    reporting = {sample.uuid for sample in samples}
    should, source = _should_report(subject)
    evidence = (Evidence("telemetry", "GPUs reporting", str(len(reporting))), *source)
    if should is None:
        reason = "GPUs report, but the expected number of GPUs is unknown."
        return RUNG.says(Status.UNKNOWN, reason, evidence, steps("Run GPU feature discovery, or declare the node's GPUs."))
    if len(reporting) >= should:
        return None
    short = should - len(reporting)
    unheld = sorted(unheld_uuids(subject.devices, subject.dra_devices) - reporting)
    if len(unheld) >= short:
        reason = (
            f"{plural(short, 'GPU')} of {should} not measured: no claim holds {'it' if short == 1 else 'them'}, and the exporter "
        )
        named = tuple(Evidence("resource_slice", "published, not held", uuid) for uuid in unheld[:4])
        return RUNG.says(Status.UNKNOWN, f"{reason}leaves such GPUs out.", (*evidence, *named), _REMEDY_UNHELD)
    old = sorted({sample.uuid for sample in subject.samples if sample.is_measured} - reporting)
    if len(old) >= short:
        reason = f"{plural(len(old), 'GPU')} of {should} {'has' if len(old) == 1 else 'have'} no recent sample."
        named = tuple(Evidence("telemetry", "no recent sample", uuid) for uuid in old[:4])
        return RUNG.says(Status.UNKNOWN, reason, (*evidence, *named), _REMEDY_EXPORTER)
    lost = sorted(set(subject.history.known_uuids) - reporting)
    named = tuple(Evidence("memory", "reported before", uuid) for uuid in lost[:4])
    reason = f"{plural(short, 'GPU')} of {should} {'does' if short == 1 else 'do'} not report."
    return RUNG.says(Status.FAIL, reason, (*evidence, *named), _REMEDY_LOST)


def _refusals(samples: Sequence[DeviceSample], uuids: Sequence[str]) -> tuple[Evidence, ...]:
    """Returns the first reason of each GPU why the exporter's value is invalid."""
    reasons: dict[str, str] = {}
    for sample in samples:
        for metric, reason in sorted(sample.refused.items()):
            reasons.setdefault(sample.uuid, f"{metric}: {reason}")
    return tuple(Evidence("telemetry", uuid, reasons[uuid]) for uuid in uuids[:4] if uuid in reasons)


def _out_of_sight(subject: NodeSubject, health: Sequence[RuleResult]) -> list[Finding]:
    """Returns open findings that no rule could check this time: a missing counter resolves nothing."""
    by_rule = {result.rule: result for result in health}
    rows = {(finding.rule, finding.key) for result in health for finding in result.findings}
    return [
        finding
        for finding in subject.history.standing
        if (result := by_rule.get(finding.rule)) is not None
        and (not could_look(result) or finding.key in result.blind)
        and (finding.rule, finding.key) not in rows
    ]


def _weakens(finding: Finding) -> bool:
    """Returns whether a finding makes the node degraded.

    Findings of other monitors that are not about GPUs do not belong to this rung.
    """
    return finding.severity == Severity.WARNING and finding.rung == RUNG.id


def _worst(status: Status, findings: Sequence[Finding]) -> RungResult:
    """Returns the rung's answer by the worst finding, with the number of others."""
    worst, *others = sorted(findings, key=lambda finding: (-finding.severity.rank, finding.rule, finding.key))
    reason = worst.text if not others else f"{worst.text} And {plural(len(others), 'further finding')}."
    return RUNG.says(status, reason, worst.evidence, worst.remedy)


def _should_report(subject: NodeSubject) -> tuple[int | None, tuple[Evidence, ...]]:
    """Returns how many GPUs should report: as many as are counted or expected, whichever is more, else as ever reported."""
    devices, history = subject.devices, subject.history
    counts = []
    if devices.physical is not None and not devices.physical_is_lower_bound:
        counts.append((devices.physical, Evidence(devices.physical_source, "physical GPUs", str(devices.physical))))
    if history.expected is not None:
        evidence = Evidence(history.expected_source or "learned", "expected GPUs", str(history.expected))
        counts.append((history.expected, evidence))
    if not counts and history.known_uuids:
        known = len(history.known_uuids)
        counts.append((known, Evidence("memory", "GPUs that reported before", str(known))))
    if not counts:
        return None, ()
    most, evidence = max(counts, key=lambda pair: pair[0])
    return most, (evidence,)


def _silent(subject: NodeSubject) -> RungResult:
    """Returns the result without recent samples: the exporter does not answer, is not on the node, or is not on the cluster."""
    failing = next((exporter for exporter in subject.exporters if exporter.outcome != Outcome.COLLECTED), None)
    if failing is not None:
        evidence: tuple[Evidence, ...] = (
            Evidence("exporter", f"{failing.namespace}/{failing.pod}".strip("/") or failing.node_name, failing.outcome),
        )
        reason = f"The exporter does not answer: {failing.reason}" if failing.reason else "The exporter does not answer."
        return RUNG.says(Status.UNKNOWN, reason, evidence, _REMEDY_EXPORTER)
    state, pods = part(subject, *EXPORTERS, name="dcgm-exporter")
    evidence = tuple(pod_evidence(pod) for pod in pods)
    if state == State.STARTING:
        return RUNG.says(Status.WAITING, "The exporter is starting.", evidence)
    if state in (State.VIOLATED, State.MISSING):
        what = "is not ready" if pods else "does not run on this node"
        remedy = steps(f"Read its log: {logs(pods[0])}") if pods else _REMEDY_EXPORTER
        return RUNG.says(Status.UNKNOWN, f"The exporter {what}: no GPU reports.", evidence, remedy)
    if subject.samples or subject.history.samples or subject.exporters or pods:
        return RUNG.says(Status.UNKNOWN, "No GPU has reported for 5 minutes.", evidence, _REMEDY_EXPORTER)
    if subject.cluster.stack.telemetry or subject.cluster.stack.components.intersection(EXPORTERS) or _proved(subject):
        reason = "No exporter reports the GPUs of this node, though other nodes have one."
        return RUNG.says(Status.UNKNOWN, reason, (), _REMEDY_EXPORTER)
    return RUNG.says(Status.NOT_ENABLED, "No exporter on this cluster reports any GPU.", (), _TURN_ON)


def _proved(subject: NodeSubject) -> bool:
    return "telemetry_healthy" in subject.cluster.history.rungs_proved


_REMEDY_LOST = steps(
    "Run on the node: nvidia-smi -L lists the GPUs that the driver reaches.",
    "Search its kernel log: dmesg | grep NVRM. Xid 79 is a GPU that has fallen off the bus; reboot the node.",
)
_REMEDY_INVALID = steps(
    "Compare with nvidia-smi on the node.",
    "Restart the exporter, and nvidia-dcgm where it runs as a pod of its own.",
)
_REMEDY_UNHELD = steps("Update the DCGM exporter: versions 4.4.1 to 4.5.2 leave out GPUs that no ResourceClaim holds.")
_REMEDY_EXPORTER = steps(
    "See whether the exporter's pod runs on the node and tolerates its taints.",
    "See on the cluster's page whether Muster may reach exporters (pods/proxy), and how it connects.",
)
_TURN_ON = steps(
    "Install the DCGM exporter (part of the NVIDIA GPU Operator; AMD: the device metrics exporter) on GPU nodes.",
    "Or name a Prometheus server that has its samples.",
    "Or waive this rung for the cluster, with a reason.",
)

RUNG = Rung(
    id="telemetry_healthy",
    number=7,
    title="Telemetry healthy",
    broken="Telemetry shows a faulty or missing GPU",
    needs=("nodes", "telemetry"),
    check=check,
)
