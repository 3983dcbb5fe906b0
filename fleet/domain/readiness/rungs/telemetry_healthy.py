"""Rung 7: telemetry reaches every card, and shows none that is sick."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.outcomes import Outcome
from fleet.domain.readiness.seen import EXPORTERS, State, fresh, logs, part, pod_evidence, steps
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.remarks.words import plural
from fleet.domain.rules import SILENT, could_look
from fleet.domain.subject import NodeSubject

_SICK = (Severity.FATAL, Severity.CRITICAL)


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Every physical GPU has a sample of the last minutes, and no health rule finds something critical; a warning about a
    GPU weakens it.

    What an outside monitor wrote as a node condition counts through the health rules: where the conditions are not there,
    nobody can say that it wrote none.
    """
    sick = [finding for result in health for finding in result.findings if finding.severity in _SICK]
    sick += _out_of_sight(subject, health)
    samples = fresh(subject)
    if sick:
        return _told(Status.FAIL, sick)
    if not samples:
        return _silent(subject)
    cards = sorted({sample.uuid for sample in samples})
    should, says = _should_report(subject)
    evidence = (Evidence("telemetry", "cards reporting", str(len(cards))), *says)
    if should is None:
        reason = "Cards report, but nobody can tell how many should."
        return RUNG.says(Status.UNKNOWN, reason, evidence, steps("Run GPU feature discovery, or declare the node's GPUs."))
    if len(cards) < should:
        gone = sorted(set(subject.memory.known_uuids) - set(cards))
        named = tuple(Evidence("memory", "reported before", uuid) for uuid in gone[:4])
        lost = should - len(cards)
        reason = f"{plural(lost, 'GPU')} of {should} {'does' if lost == 1 else 'do'} not report."
        return RUNG.says(Status.FAIL, reason, (*evidence, *named), _REMEDY_LOST)
    if not subject.node.conditions:
        reason = "Every card reports, but the node tells no conditions: what other monitors found is unknown."
        return RUNG.says(Status.UNKNOWN, reason, evidence)
    if health and all(result.status in SILENT for result in health):
        reason = "Every card reports, but nothing that tells of its health: the exporter does not export it."
        return RUNG.says(Status.UNKNOWN, reason, evidence, health[0].reason)
    unwell = [finding for result in health for finding in result.findings if _weakens(finding)]
    if unwell:
        return _told(Status.WARN, unwell)
    return RUNG.says(Status.PASS, f"All {plural(should, 'GPU')} report, and none is found sick.", evidence)


def _out_of_sight(subject: NodeSubject, health: Sequence[RuleResult]) -> list[Finding]:
    """Open findings that nobody could look at this time: a counter that is no longer exported has mended nothing."""
    by_rule = {result.rule: result for result in health}
    return [
        finding
        for finding in subject.memory.standing
        if (result := by_rule.get(finding.rule)) is not None and (not could_look(result) or finding.key in result.blind)
    ]


def _weakens(finding: Finding) -> bool:
    """A card that works and wants looking at: its node is degraded. What others find on the node beside its GPUs is no
    matter of this rung."""
    return finding.severity == Severity.WARNING and finding.rung == RUNG.id


def _told(status: Status, found: Sequence[Finding]) -> RungResult:
    """The worst of what was found, and how much more there is."""
    worst, *others = sorted(found, key=lambda finding: (-finding.severity.rank, finding.rule, finding.key))
    reason = worst.text if not others else f"{worst.text} And {plural(len(others), 'further finding')}."
    return RUNG.says(status, reason, worst.evidence, worst.remedy)


def _should_report(subject: NodeSubject) -> tuple[int | None, tuple[Evidence, ...]]:
    """How many cards should report: as many as are counted or expected, whichever is more, else as ever reported."""
    devices, memory = subject.devices, subject.memory
    counts = []
    if devices.physical is not None and not devices.physical_is_lower_bound:
        counts.append((devices.physical, Evidence(devices.physical_source, "physical GPUs", str(devices.physical))))
    if memory.expected is not None:
        evidence = Evidence(memory.expected_source or "learned", "expected GPUs", str(memory.expected))
        counts.append((memory.expected, evidence))
    if not counts and memory.known_uuids:
        known = len(memory.known_uuids)
        counts.append((known, Evidence("memory", "cards that reported before", str(known))))
    if not counts:
        return None, ()
    most, evidence = max(counts, key=lambda pair: pair[0])
    return most, (evidence,)


def _silent(subject: NodeSubject) -> RungResult:
    """No fresh sample: because the exporter does not answer, is not here, or is nowhere."""
    failing = next((one for one in subject.exporters if one.outcome != Outcome.COLLECTED), None)
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
    if state in (State.BROKEN, State.MISSING):
        what = "is not ready" if pods else "does not run on this node"
        remedy = steps(f"Read what it says: {logs(pods[0])}") if pods else _REMEDY_EXPORTER
        return RUNG.says(Status.UNKNOWN, f"The exporter {what}: no card reports.", evidence, remedy)
    if subject.samples or subject.memory.samples or subject.exporters or pods:
        return RUNG.says(Status.UNKNOWN, "No card has reported for minutes.", evidence, _REMEDY_EXPORTER)
    if subject.stack.telemetry or subject.stack.components.intersection(EXPORTERS) or _proved(subject):
        reason = "No exporter reports the cards of this node, though other nodes have one."
        return RUNG.says(Status.UNKNOWN, reason, (), _REMEDY_EXPORTER)
    return RUNG.says(Status.NOT_ENABLED, "No exporter on this cluster reports any card.", (), _TURN_ON)


def _proved(subject: NodeSubject) -> bool:
    return "telemetry_healthy" in subject.cluster.rungs_proved


_REMEDY_LOST = steps(
    "On the node, nvidia-smi -L lists the cards that the driver still reaches.",
    "Search its kernel log for NVRM: Xid 79 means a card has fallen off the bus, which only a reboot brings back.",
)
_REMEDY_EXPORTER = steps(
    "See whether the exporter's pod runs on the node and tolerates its taints.",
    "See on the cluster's page whether Muster may reach exporters (pods/proxy), and by which way it tries.",
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
    broken="Telemetry shows a sick or missing card",
    needs=("nodes", "telemetry"),
    check=check,
)
