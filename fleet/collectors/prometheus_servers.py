"""Reads model servers' metrics from Prometheus: one query for each metric name, for the whole cluster."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import msgspec

from fleet.collectors.exporters import Target
from fleet.collectors.exposition import Sample, moment
from fleet.collectors.model_servers import parse_numbers
from fleet.collectors.prometheus import POD_LABELS, WORKERS, Series, Server
from fleet.domain.catalog import model_servers as catalog
from fleet.domain.snapshot.telemetry import ModelServer

# Every server of a kind exports at least one of these, whatever it serves: the first that exists shows when it was scraped.
_EVERYWHERE = ("waiting", "running", "requests")
Key = tuple[str, str]


class _Pods(msgspec.Struct, frozen=True):
    """The pod of a series: by its name, or by its address."""

    keys: frozenset[Key]
    by_ip: dict[str, Key]

    def find(self, labels: Mapping[str, str]) -> Key | None:
        for namespace, pod in POD_LABELS:
            key = labels.get(namespace, ""), labels.get(pod, "")
            if key in self.keys:
                return key
        return self.by_ip.get(labels.get("instance", "").rpartition(":")[0].strip("[]"))


def fetch(server: Server, row: Sequence[tuple[Target, catalog.Server]], at: datetime) -> list[ModelServer]:
    """The servers among `found` of which Prometheus has fresh samples. Raises Failure where a query fails."""
    kinds = {kind.kind: kind for _, kind in row}
    wanted = sorted({wire for kind in kinds.values() for wire in _wires(kind)})
    names = frozenset(server.names(wanted))
    queries = [name for name in wanted if name in names]
    times = sorted({name for kind in kinds.values() if (name := _base(kind, names))})
    with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="prometheus") as pool:
        asked = [server.select([name]) for name in queries] + [f"timestamp({server.select([name])})" for name in times]
        answers = list(pool.map(server.query, asked))
    pods = _Pods(frozenset(target.key for target, _ in row), {target.pod.ip: target.key for target, _ in row if target.pod.ip})
    samples: dict[Key, list[Sample]] = defaultdict(list)
    for name, answer in zip(queries, answers, strict=False):
        for key, labels, value in _told(answer, pods):
            samples[key].append(Sample(name=name, labels=labels, value=value))
    taken: dict[Key, datetime] = {}
    for answer in answers[len(queries) :]:
        for key, _, value in _told(answer, pods):
            when = moment(1000 * value)
            taken[key] = max(when, taken.get(key, when))
    return [
        parse_numbers(target.pod, kind.kind, samples[target.key], taken.get(target.key, at))
        for target, kind in row
        if samples[target.key]
    ]


def _wires(kind: catalog.Server) -> Iterator[str]:
    """The names on the wire, also with the underscores that relabelling may have put for colons."""
    for names in kind.names.values():
        for name in names:
            yield from dict.fromkeys((name, name.replace(":", "_")))


def _base(kind: catalog.Server, names: frozenset[str]) -> str:
    rows = [name for field in _EVERYWHERE for name in kind.names.get(field, ())]
    return next((form for name in rows for form in (name, name.replace(":", "_")) if form in names), "")


def _told(answer: Iterable[Series], pods: _Pods) -> Iterator[tuple[Key, dict[str, str], float]]:
    for item in answer:
        key = pods.find(item.metric)
        if key is None or item.value is None:
            continue
        value = float(item.value[1])
        if math.isfinite(value):
            yield key, item.metric, value
