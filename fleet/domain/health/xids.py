"""Xid events from telemetry, monitors' conditions and Kubernetes Events.

The gauge is the last code and sticks, so only a change or a counter that grew is an event.

Not an event: a code already set in the first sample of a GPU (it may be weeks old), a gauge that dropped to 0 (the exporter
restarted), the same code again, a sample that is not newer than the previous one, a GPU that moved to another node.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.subject import ClusterHistory, NodeHistory
from fleet.domain.health import bursts, conditions, events, jobs, monitor_text
from fleet.domain.health.bursts import XidOccurrence
from fleet.domain.labels import is_gpu_resource
from fleet.domain.quantities import parse_units
from fleet.domain.snapshot import ClusterSnapshot, NodeEvent, NodeSnapshot, PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample

METRIC = "xid"
_LONGEST_NAME = 100
_MOST = 100_000
"""Highest plausible Xid: some exporters write a larger number for "none"."""


def watch(snapshot: ClusterSnapshot, history: ClusterHistory) -> ClusterHistory:
    """Returns the history with this run's Xid events added to its bursts. The same run again adds nothing."""
    pods: dict[str, list[PodSnapshot]] = defaultdict(list)
    for pod in snapshot.pods:
        pods[pod.node_name].append(pod)
    samples: dict[str, list[DeviceSample]] = defaultdict(list)
    for sample in snapshot.telemetry.samples:
        samples[sample.node_name].append(sample)
    fields: dict[str, list[NodeEvent]] = defaultdict(list)
    for event in snapshot.events:
        fields[event.node_name].append(event)
    silent = _silent(snapshot)
    quiet = thresholds.load().xid.quiet
    nodes = dict(history.nodes)
    for node in snapshot.nodes:
        before, result = history.of(node.uid), [] if node.name in silent else samples[node.name]
        about = events.monitor_events(events.of_node(node, fields[node.name]))
        news = [
            *_measured(node, result, before, pods[node.name], snapshot.taken_at),
            *_told(snapshot, node, result),
            *_event_xids(snapshot, node, about, result, pods[node.name]),
        ]
        if news:
            nodes[node.uid] = msgspec.structs.replace(before, bursts=bursts.add(before.bursts, news, quiet))
    return msgspec.structs.replace(history, nodes=nodes)


def last_code(sample: DeviceSample) -> int | None:
    """Returns the gauge of one sample as a code; 0 is none since DCGM's start, None is unknown."""
    value = sample.values.get(METRIC)
    if value is None or not math.isfinite(value) or not 0 <= value < _MOST:
        return None
    return int(value)


def _silent(snapshot: ClusterSnapshot) -> set[str]:
    """Returns nodes with exporters of which none answered: their data is last known."""
    answered: dict[str, bool] = defaultdict(bool)
    for report in snapshot.telemetry.exporters:
        answered[report.node_name] |= report.outcome is Outcome.COLLECTED
    return {name for name, ok in answered.items() if not ok}


def _measured(
    node: NodeSnapshot, samples: Sequence[DeviceSample], before: NodeHistory, pods: Sequence[PodSnapshot], taken_at: datetime
) -> Iterator[XidOccurrence]:
    """Yields changes of the gauge and growth of the counter, one event for each GPU and code."""
    news: dict[tuple[str, int], XidOccurrence] = {}
    by_gpu = _by_uuid(before.samples)
    booted = taken_at if before.boot_id and node.node_info.boot_id not in ("", before.boot_id) else before.booted_at
    for sample in samples:
        earlier = _earlier(sample, by_gpu.get(sample.uuid, ()))
        for code, count, source in _grown(sample, _since_boot(sample, earlier, booted)):
            known = news.get((sample.uuid, code))
            if known is not None and (known.count, known.source) >= (count, source):
                continue
            names = _holders(node, sample.uuid, samples, pods, earlier)
            news[sample.uuid, code] = XidOccurrence(
                node_name=node.name,
                uuid=sample.uuid,
                code=code,
                at=sample.at,
                after=max(item.at for item in earlier),
                count=count,
                source=source,
                pods=names,
                job=jobs.job_of_all(names, pods),
            )
    yield from (news[name] for name in sorted(news))


def _by_uuid(samples: Iterable[DeviceSample]) -> dict[str, tuple[DeviceSample, ...]]:
    result: dict[str, list[DeviceSample]] = defaultdict(list)
    for sample in samples:
        result[sample.uuid].append(sample)
    return {uuid: tuple(rows) for uuid, rows in result.items()}


def _earlier(sample: DeviceSample, device_samples: Sequence[DeviceSample]) -> tuple[DeviceSample, ...]:
    """Returns the previous samples of the same device, or of its GPU where it was repartitioned (MIG).

    Empty unless all are older than this sample.
    """
    same = tuple(item for item in device_samples if item.gi_id == sample.gi_id) or tuple(device_samples)
    return same if all(entry.at < sample.at for entry in same) else ()


def _since_boot(sample: DeviceSample, earlier: tuple[DeviceSample, ...], booted: datetime | None) -> tuple[DeviceSample, ...]:
    """Returns the previous samples since the boot. A boot restarts DCGM, so an earlier code is not the last one."""
    if booted is None or not all(item.at < booted <= sample.at for item in earlier):
        return earlier
    return tuple(
        msgspec.structs.replace(
            entry, xid_counts={}, values={**entry.values, METRIC: 0.0} if METRIC in entry.values else entry.values
        )
        for entry in earlier
    )


def _grown(sample: DeviceSample, earlier: Sequence[DeviceSample]) -> Iterator[tuple[int, int, str]]:
    """Yields (code, lower bound of events, source) of this sample beyond the previous ones; nothing for the first sample."""
    if not earlier:
        return
    grown: dict[int, int] = {}
    for text, count in sample.xid_counts.items():
        code = parse_units(text)
        more = count - max(item.xid_counts.get(text, 0) for item in earlier)
        if code and more > 0:
            grown[code] = more
    yield from ((code, more, "counter") for code, more in sorted(grown.items()))
    rows = [code for entry in earlier if (code := last_code(entry)) is not None]
    now = last_code(sample)
    if now and rows and now not in rows and now not in grown:
        yield now, 1, "gauge"


def _slots(node: NodeSnapshot) -> int | None:
    """Returns the allocatable slots of GPUs, of every resource name."""
    amounts = [parse_units(text) for name, text in node.allocatable.items() if is_gpu_resource(name)]
    return sum(amount or 0 for amount in amounts) or None


def _told(snapshot: ClusterSnapshot, node: NodeSnapshot, samples: Sequence[DeviceSample]) -> Iterator[XidOccurrence]:
    """Yields an event for conditions that turned bad within the sticky window and name an Xid."""
    limit = snapshot.taken_at - thresholds.load().xid.sticky
    gpus = _by_place(samples)
    for monitor_condition in conditions.monitor_conditions(node):
        if not monitor_condition.bad or monitor_condition.at is None or not limit < monitor_condition.at <= snapshot.taken_at:
            continue
        for code in monitor_condition.codes:
            for uuid in _gpus_named(monitor_condition, gpus):
                yield XidOccurrence(
                    node_name=node.name,
                    uuid=uuid,
                    code=code,
                    at=monitor_condition.at,
                    count=1,
                    source="condition",
                    reported_by=monitor_condition.monitor,
                )


def _event_xids(
    snapshot: ClusterSnapshot,
    node: NodeSnapshot,
    about: Iterable[events.MonitorEvent],
    samples: Sequence[DeviceSample],
    pods: Sequence[PodSnapshot],
) -> Iterator[XidOccurrence]:
    """Yields the Xids in monitors' Events of the sticky window, each source by itself."""
    window = thresholds.load().xid
    limit, quiet, gpus = snapshot.taken_at - window.sticky, window.quiet, _by_place(samples)
    voices: dict[tuple[str, str, int, str], list[events.MonitorEvent]] = defaultdict(list)
    for item in about:
        for code in item.codes:
            for uuid in _gpus_named(item, gpus):
                voices[item.monitor, item.word, code, uuid].append(item)
    for (monitor, _, code, uuid), values in sorted(voices.items()):
        for spell in events.spells(values, quiet):
            if not limit < spell.at <= snapshot.taken_at:
                continue
            # the GPU's current pod is the pod of that time only for a recent event
            names = _holders(node, uuid, samples, pods) if snapshot.taken_at - spell.at <= quiet else ()
            yield XidOccurrence(
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
                reported_by=monitor[:_LONGEST_NAME],
            )


def _by_place(samples: Iterable[DeviceSample]) -> dict[str, str]:
    """Returns PCI address to UUID."""
    return {place: sample.uuid for sample in samples for place in monitor_text.pci_places(sample.pci_bus_id)}


def _gpus_named(row: conditions.MonitorCondition | events.MonitorEvent, gpus: Mapping[str, str]) -> tuple[str, ...]:
    """Returns UUIDs of the GPUs that a monitor names, directly or by PCI address; one empty name where it names none."""
    return row.uuids or tuple(sorted({gpus[pci] for pci in row.pci if pci in gpus})) or ("",)


def _holders(
    node: NodeSnapshot,
    uuid: str,
    samples: Sequence[DeviceSample],
    pods: Sequence[PodSnapshot],
    earlier: Sequence[DeviceSample] = (),
) -> tuple[str, ...]:
    """Returns the pods on a GPU, from the best available source."""
    return jobs.pods_of(uuid, samples, pods) or jobs.pods_of(uuid, earlier, pods) or jobs.holders_of_all(pods, _slots(node))
