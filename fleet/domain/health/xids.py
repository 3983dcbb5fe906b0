"""Xid events: out of telemetry, where the gauge is the last code and sticks, so that only a change or a counter that grew is
one; and out of what outside monitors tell in conditions and in Kubernetes Events.

What is no event: a code that was there at the first sight of a card (it may be weeks old), a gauge that fell to 0 (the
exporter began anew), the same code again, a sample that is no newer than the one before, a card seen on another node.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from fleet.domain.catalog import thresholds
from fleet.domain.health import bursts, conditions, events, jobs, monitor_text
from fleet.domain.health.bursts import Event
from fleet.domain.labels import is_gpu_resource
from fleet.domain.outcomes import Outcome
from fleet.domain.quantities import parse_units
from fleet.domain.snapshot import ClusterSnapshot, NodeEvent, NodeSnapshot, PodSnapshot
from fleet.domain.subject import ClusterMemory, NodeMemory
from fleet.domain.telemetry import DeviceSample

METRIC = "xid"
_MOST = 100_000
"""No Xid is so high: a larger number is some exporter's way of saying nothing."""


def watch(snapshot: ClusterSnapshot, memory: ClusterMemory) -> ClusterMemory:
    """The memory with this look's Xid events added to its bursts. The same look again adds nothing."""
    pods: dict[str, list[PodSnapshot]] = defaultdict(list)
    for pod in snapshot.pods:
        pods[pod.node_name].append(pod)
    samples: dict[str, list[DeviceSample]] = defaultdict(list)
    for sample in snapshot.telemetry.samples:
        samples[sample.node_name].append(sample)
    told: dict[str, list[NodeEvent]] = defaultdict(list)
    for event in snapshot.events:
        told[event.node_name].append(event)
    silent = _silent(snapshot)
    quiet = thresholds.load().xid.quiet
    nodes = dict(memory.nodes)
    for node in snapshot.nodes:
        before, here = memory.of(node.uid), [] if node.name in silent else samples[node.name]
        about = events.heard(events.of_node(node, told[node.name]))
        news = [
            *_measured(node, here, before, pods[node.name], snapshot.taken_at),
            *_told(snapshot, node, here),
            *_heard(snapshot, node, about, here, pods[node.name]),
        ]
        if news:
            nodes[node.uid] = msgspec.structs.replace(before, bursts=bursts.add(before.bursts, news, quiet))
    return msgspec.structs.replace(memory, nodes=nodes)


def last_code(sample: DeviceSample) -> int | None:
    """The gauge of one sample as a code; 0 is none since DCGM's start, None is not told."""
    value = sample.values.get(METRIC)
    if value is None or not math.isfinite(value) or not 0 <= value < _MOST:
        return None
    return int(value)


def _silent(snapshot: ClusterSnapshot) -> set[str]:
    """Nodes with exporters of which none answered: what stands of them is an old truth."""
    answered: dict[str, bool] = defaultdict(bool)
    for report in snapshot.telemetry.exporters:
        answered[report.node_name] |= report.outcome is Outcome.COLLECTED
    return {name for name, ok in answered.items() if not ok}


def _measured(
    node: NodeSnapshot, samples: Sequence[DeviceSample], before: NodeMemory, pods: Sequence[PodSnapshot], taken_at: datetime
) -> Iterator[Event]:
    """Changes of the gauge and growth of the counter, one event for each card and code."""
    news: dict[tuple[str, int], Event] = {}
    by_card = _by_card(before.samples)
    booted = taken_at if before.boot_id and node.node_info.boot_id not in ("", before.boot_id) else before.booted_at
    for sample in samples:
        earlier = _earlier(sample, by_card.get(sample.uuid, ()))
        for code, count, source in _grown(sample, _since_boot(sample, earlier, booted)):
            known = news.get((sample.uuid, code))
            if known is not None and (known.count, known.source) >= (count, source):
                continue
            names = _holders(node, sample.uuid, samples, pods, earlier)
            news[sample.uuid, code] = Event(
                node_name=node.name,
                uuid=sample.uuid,
                code=code,
                at=sample.at,
                after=max(one.at for one in earlier),
                count=count,
                source=source,
                pods=names,
                job=jobs.job_of_all(names, pods),
            )
    yield from (news[name] for name in sorted(news))


def _by_card(samples: Iterable[DeviceSample]) -> dict[str, tuple[DeviceSample, ...]]:
    found: dict[str, list[DeviceSample]] = defaultdict(list)
    for sample in samples:
        found[sample.uuid].append(sample)
    return {uuid: tuple(told) for uuid, told in found.items()}


def _earlier(sample: DeviceSample, told: Sequence[DeviceSample]) -> tuple[DeviceSample, ...]:
    """What the same device told before; where it was cut anew since (MIG), what its card told. Empty unless all of it is
    older than this sample: then this sample is no news."""
    same = tuple(one for one in told if one.gi_id == sample.gi_id) or tuple(told)
    return same if all(one.at < sample.at for one in same) else ()


def _since_boot(sample: DeviceSample, earlier: tuple[DeviceSample, ...], booted: datetime | None) -> tuple[DeviceSample, ...]:
    """What the device had told when the node booted: nothing. A boot starts DCGM anew, so the code before it is no last one."""
    if booted is None or not all(one.at < booted <= sample.at for one in earlier):
        return earlier
    return tuple(
        msgspec.structs.replace(one, xid_counts={}, values={**one.values, METRIC: 0.0} if METRIC in one.values else one.values)
        for one in earlier
    )


def _grown(sample: DeviceSample, earlier: Sequence[DeviceSample]) -> Iterator[tuple[int, int, str]]:
    """(code, events at least, source) that this sample tells beyond the earlier ones; nothing at first sight."""
    if not earlier:
        return
    grown: dict[int, int] = {}
    for text, count in sample.xid_counts.items():
        code = parse_units(text)
        more = count - max(one.xid_counts.get(text, 0) for one in earlier)
        if code and more > 0:
            grown[code] = more
    yield from ((code, more, "counter") for code, more in sorted(grown.items()))
    told = [code for one in earlier if (code := last_code(one)) is not None]
    now = last_code(sample)
    if now and told and now not in told and now not in grown:
        yield now, 1, "gauge"


def _slots(node: NodeSnapshot) -> int | None:
    """Allocatable slots of GPUs, of every resource name."""
    amounts = [parse_units(text) for name, text in node.allocatable.items() if is_gpu_resource(name)]
    return sum(amount or 0 for amount in amounts) or None


def _told(snapshot: ClusterSnapshot, node: NodeSnapshot, samples: Sequence[DeviceSample]) -> Iterator[Event]:
    """Conditions that turned bad within the sticky window and name an Xid. Older ones are nobody's news."""
    limit = snapshot.taken_at - thresholds.load().xid.sticky
    cards = _by_place(samples)
    for told in conditions.told(node):
        if not told.bad or told.at is None or not limit < told.at <= snapshot.taken_at:
            continue
        for code in told.codes:
            for uuid in _cards_named(told, cards):
                yield Event(node_name=node.name, uuid=uuid, code=code, at=told.at, count=1, source="condition")


def _heard(
    snapshot: ClusterSnapshot,
    node: NodeSnapshot,
    about: Iterable[events.Heard],
    samples: Sequence[DeviceSample],
    pods: Sequence[PodSnapshot],
) -> Iterator[Event]:
    """What monitors tell of Xids in Events of the sticky window, each voice's by itself."""
    window = thresholds.load().xid
    limit, quiet, cards = snapshot.taken_at - window.sticky, window.quiet, _by_place(samples)
    voices: dict[tuple[str, str, int, str], list[events.Heard]] = defaultdict(list)
    for one in about:
        for code in one.codes:
            for uuid in _cards_named(one, cards):
                voices[one.monitor, one.word, code, uuid].append(one)
    for (_, _, code, uuid), told in sorted(voices.items()):
        for spell in events.spells(told, quiet):
            if not limit < spell.at <= snapshot.taken_at:
                continue
            # who holds the card now held it then only if that was just now
            names = _holders(node, uuid, samples, pods) if snapshot.taken_at - spell.at <= quiet else ()
            yield Event(
                node_name=node.name,
                uuid=uuid,
                code=code,
                at=spell.at,
                since=spell.since,
                unbroken=spell.unbroken,
                count=spell.count,
                source="event",
                pods=names,
                job=jobs.job_of_all(names, pods),
            )


def _by_place(samples: Iterable[DeviceSample]) -> dict[str, str]:
    """Where a card sits to its UUID."""
    return {place: sample.uuid for sample in samples for place in monitor_text.pci_places(sample.pci_bus_id)}


def _cards_named(told: conditions.Told | events.Heard, cards: Mapping[str, str]) -> tuple[str, ...]:
    """UUIDs of the cards that a monitor names, by themselves or by their places; one empty name where it names none."""
    return told.uuids or tuple(sorted({cards[pci] for pci in told.pci if pci in cards})) or ("",)


def _holders(
    node: NodeSnapshot,
    uuid: str,
    samples: Sequence[DeviceSample],
    pods: Sequence[PodSnapshot],
    earlier: Sequence[DeviceSample] = (),
) -> tuple[str, ...]:
    """The pods on a card, by whoever tells."""
    return jobs.pods_of(uuid, samples, pods) or jobs.pods_of(uuid, earlier, pods) or jobs.holders_of_all(pods, _slots(node))
