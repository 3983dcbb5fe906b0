"""What the rules share: the cards of a node as this look measured them, and an answer that passes on evidence only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import msgspec

from fleet.domain.catalog import metrics, thresholds
from fleet.domain.findings import Finding, RuleResult, Severity, Status
from fleet.domain.outcomes import Outcome
from fleet.domain.subject import NodeSubject
from fleet.domain.telemetry import DeviceSample

_SEPARATORS = re.compile(r"[-_\s]+")
_SERIES = ("xid_counts", "watches", "clock_events")
RUNG = "telemetry_healthy"
"""The rung that every health finding explains."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One physical GPU in this look: its own sample, or those of its MIG instances; and the same before this look."""

    uuid: str
    samples: tuple[DeviceSample, ...]
    before: tuple[DeviceSample, ...] = ()

    @property
    def short(self) -> str:
        """Enough of the UUID to tell it from its neighbours in a sentence."""
        return self.uuid[:12]

    @property
    def is_there(self) -> bool:
        """Whether anything but its last Xid is measured: of a card that fell off the bus nothing else is left."""
        return any(sample.is_measured for sample in self.samples)

    def value(self, metric: str) -> float | None:
        """The highest value that the card or an instance tells; None where none tells any."""
        return max((one.values[metric] for one in self.samples if metric in one.values), default=None)

    def grown(self, metric: str) -> tuple[float, timedelta] | None:
        """By how much a counter grew since the look before, and in which time; None without two looks at it.

        A counter that fell was reset (the driver was loaded anew): what it shows came since.
        """
        found = []
        for sample in self.samples:
            for earlier in self.before:
                if earlier.gi_id == sample.gi_id and metric in earlier.values and metric in sample.values:
                    was, now, gap = earlier.values[metric], sample.values[metric], sample.at - earlier.at
                    if gap > timedelta():
                        found.append((now - was if now >= was else now, gap))
        return max(found, default=None)


def cards(subject: NodeSubject) -> tuple[Card, ...]:
    """The cards of this node of which there is a fresh sample, by UUID."""
    limit = subject.measured_until - thresholds.load().telemetry.fresh
    now: dict[str, list[DeviceSample]] = {}
    for sample in subject.samples:
        if sample.at >= limit and sample.uuid:
            now.setdefault(sample.uuid, []).append(sample)
    before: dict[str, list[DeviceSample]] = {}
    for sample in subject.memory.samples:
        before.setdefault(sample.uuid, []).append(sample)
    return tuple(
        Card(
            uuid=uuid,
            samples=tuple(told if len(told) == 1 else sorted(told, key=lambda one: (one.gi_id, one.at))),
            before=tuple(before.get(uuid, ())),
        )
        for uuid, told in sorted(now.items())
    )


def is_exported(subject: NodeSubject, name: str) -> bool:
    """Whether the node's exporters tell `name` of any device: a metric's id, or a field of the exporter's own series."""
    if any(name in report.metrics for report in subject.exporters):
        return True
    if name in _SERIES:
        return any(getattr(sample, name) for sample in subject.samples)
    return any(name in sample.values for sample in subject.samples)


def silence(subject: NodeSubject, measured: Sequence[Card] | None = None) -> tuple[Status, str] | None:
    """Why nothing at all is measured on this node; None where something is. `measured` are its cards, if they are at hand."""
    if cards(subject) if measured is None else measured:
        return None
    if subject.exporters:
        reasons = [report.reason for report in subject.exporters if report.outcome is not Outcome.COLLECTED and report.reason]
        return Status.UNKNOWN, reasons[0] if reasons else "The exporter tells no fresh sample of any GPU."
    section = subject.snapshot.section("telemetry")
    if not section.complete:
        return Status.UNKNOWN, section.reason or "The exporters were not read."
    if subject.snapshot.telemetry.exporters:
        return Status.UNKNOWN, "No exporter was read on this node, though other nodes have one."
    return Status.NOT_ENABLED, "No exporter of GPU metrics runs on this cluster. Install dcgm-exporter."


def is_one_of(product: str, models: Iterable[str]) -> bool:
    """Whether a product's name, in any vendor's spelling, has one of these words in it."""
    return not set(_SEPARATORS.split(product.upper())).isdisjoint(models)


def remaps_rows(subject: NodeSubject) -> bool:
    """Whether this node's cards have memory whose rows can be remapped. Cards nobody knows are taken to have it."""
    limits = thresholds.load().row_remap
    return subject.devices.family not in limits.families_without and not is_one_of(
        subject.devices.product, limits.products_without
    )


def short_of(subject: NodeSubject, seen: int) -> str:
    """Why `seen` cards are not all of them, in a sentence; empty where they are, or nobody knows how many there should be."""
    known = subject.devices.physical
    if known is None:
        known = subject.memory.expected
    return f"Only {seen} of {known} physical GPUs are measured." if known is not None and seen < known else ""


def not_enabled(subject: NodeSubject, wanted: Sequence[str]) -> str:
    """What to add to the exporter's counters so that it tells `wanted` (metric ids, or fields of its own series)."""
    known = {metric.id: (metric.title, metric.csv) for metric in metrics.load().metric}
    known |= {special.field: (special.title, special.csv) for special in metrics.load().special}
    titles = ", ".join(known[name][0] for name in wanted)
    lines = "\n".join(known[name][1] for name in wanted)
    return f"Not exported: {titles}. Add to the exporter's counters:\n{lines}"


def by_card(
    subject: NodeSubject,
    rule: str,
    wanted: Sequence[str],
    look: Callable[[Card], Iterable[Finding] | None],
    *,
    parts: Iterable[str] = (),
    remembered: Sequence[Finding] = (),
) -> RuleResult:
    """Asks `look` about every card. It answers findings, or None where this card does not tell what it needs.

    `wanted` is what has to be exported for the rule to see at all: without it the answer is not_enabled and says how.
    `parts` are what may stand behind a card's UUID in a finding's key. `remembered` are findings that rest on memory: they
    stand whatever is measured now.
    """
    everyone = cards(subject)
    quiet = silence(subject, everyone)
    if quiet is not None:
        return answer(subject, rule, remembered, lack=quiet)
    found: list[Finding] = list(remembered)
    unseen: list[str] = []
    for card in everyone:
        said = look(card)
        if said is None:
            unseen.append(card.uuid)
        else:
            found.extend(said)
    missing = [name for name in wanted if not is_exported(subject, name)]
    lack: tuple[Status, str] | None = None
    if missing and subject.devices.vendor not in ("", "nvidia"):
        lack = (Status.NOT_APPLICABLE, "The exporter of this vendor's GPUs does not measure it.")
    elif missing:
        lack = (Status.NOT_ENABLED, not_enabled(subject, missing))
    elif unseen:
        lack = (Status.UNKNOWN, "Not every GPU tells it, or not yet twice.")
    elif reason := short_of(subject, len(everyone)):
        lack = (Status.UNKNOWN, reason)
    if lack is None and not found:
        return answer(subject, rule, found)
    dark = {*unseen, *_not_measured(subject, everyone)}
    keys = dark | {f"{uuid}/{part}" for uuid in dark for part in parts}
    keys |= {sample.key for sample in subject.memory.samples if sample.uuid in dark}
    return answer(subject, rule, found, lack=lack, blind=sorted(keys))


def answer(
    subject: NodeSubject,
    rule: str,
    found: Sequence[Finding],
    *,
    lack: tuple[Status, str] | None = None,
    blind: Sequence[str] = (),
) -> RuleResult:
    """What a rule says: broken by what it found, however little else it saw; good only where it lacks nothing.

    Findings that have not lasted long enough, and information, break nothing. `lack` is why it cannot pass.
    """
    worst = max((one.severity.rank for one in found if has_lasted(subject, one)), default=0)
    if worst >= Severity.WARNING.rank:
        status = Status.FAIL if worst >= Severity.CRITICAL.rank else Status.WARN
        return RuleResult(rule=rule, status=status, findings=tuple(found), blind=tuple(blind))
    if lack is not None:
        return RuleResult(rule=rule, status=lack[0], reason=lack[1], findings=tuple(found), blind=tuple(blind))
    return RuleResult(rule=rule, status=Status.PASS, findings=tuple(found))


def has_lasted(subject: NodeSubject, finding: Finding) -> bool:
    """Whether a finding that must last has been seen for long enough."""
    since = subject.memory.pending.get(f"{finding.rule}|{finding.key}", subject.now)
    return (subject.now - since).total_seconds() >= finding.sustain_s


def _not_measured(subject: NodeSubject, measured: Sequence[Card]) -> set[str]:
    """Cards known from before that this look does not measure."""
    known = {*subject.memory.known_uuids, *(sample.uuid for sample in subject.memory.samples)}
    return known - {card.uuid for card in measured}
