"""Health tools compared: of each fault on a node, which of them saw it first, with others, alone, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations

import msgspec

from fleet.domain.catalog import monitors
from fleet.domain.findings import REPORTED_BY, Evidence
from fleet.domain.health.conditions import FAULT_AREAS

MUSTER, DCGM = "Muster", "DCGM"
TOGETHER = timedelta(minutes=30)
"""Most time between two reports on one node that are of the same fault, where the earlier one has ended."""
PREDICTION = timedelta(hours=5)
"""Within which a prediction says that the node degrades."""
OWN_RULES = frozenset(
    {
        *("gpu_lost", "xid", "ecc_uncorrectable", "row_remap_failure", "row_remap_pending", "nvlink", "pcie_replay"),
        *("thermal", "thermal_throttling", "power_throttling"),
    }
)
"""Health rules by which Muster itself finds a fault of a GPU."""
RULES = OWN_RULES | {"dcgm_watches", "monitors"}
"""Rules whose findings are reports of faults."""
_ELSEWHERE = frozenset({"condition", "event"})
"""Sources of Xids that another tool saw: Muster only read them."""
Node = tuple[str, str]
"""Cluster and name."""
NodeId = int
"""Primary key of a node."""


class FaultReport(msgspec.Struct, frozen=True, kw_only=True):
    """One tool's report of a fault on a node. It stands until it ends; None for one that still stands."""

    watcher: str
    node: Node
    at: datetime
    until: datetime | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Reports on one node that are of the same fault."""

    node: Node
    at: datetime
    first_by: Mapping[str, datetime]
    """Watcher to its first report."""

    @property
    def first(self) -> frozenset[str]:
        """Returns who reported it first; several where they did at the same moment."""
        return frozenset(watcher for watcher, at in self.first_by.items() if at == self.at)


class WatcherRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one tool saw of the faults on the nodes that it watches."""

    watcher: str
    nodes: int
    """Nodes it watches: those it writes to now, or reported on in the window."""
    first: int = 0
    """Faults that it and another saw, this one first."""
    later: int = 0
    """Faults that another saw before it."""
    alone: int = 0
    """Faults that no other tool saw: it is better, or wrong."""
    silent: int = 0
    """Faults on its nodes that others saw and it did not."""

    @property
    def seen(self) -> int:
        return self.first + self.later + self.alone


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    faults: int
    rows: tuple[WatcherRow, ...]
    both: dict[tuple[str, str], int]
    """Pair of watchers, by name, to the faults that both saw; pairs that watch a node in common only."""


def watchers_of(rule: str, key: str, evidence: Sequence[Evidence] = ()) -> frozenset[str]:
    """Returns which tools a finding of this rule and key comes from; none where it reports no fault of a GPU.

    An Xid that Muster read in another tool's condition or Event is that tool's, until an exporter shows it as well.
    """
    names = {item.value for item in evidence if item.key == REPORTED_BY} & monitors.names()
    named = frozenset(map(monitors.watcher, names))
    if rule == "xid" and key.endswith("/last"):
        return frozenset()  # a code of unknown age
    if rule in OWN_RULES:
        read = rule == "xid" and bool(evidence) and evidence[0].source in _ELSEWHERE
        return named if read and named else named | {MUSTER}
    if rule == "dcgm_watches":
        return frozenset({DCGM})
    if rule != "monitors":
        return frozenset()
    return named or frozenset(filter(None, [_writer_of(key.removeprefix("event/"))]))


def _writer_of(word: str) -> str | None:
    """Returns who writes a condition type or key about a GPU's faults; None for any other."""
    monitor = monitors.by_type().get(word)
    if monitor is not None:
        return monitors.watcher(monitor.name) if monitor.types[word] in FAULT_AREAS else None
    places: tuple[monitors.Place, ...] = ("label", "annotation", "taint", "pod_condition")
    entry = next((signal for place in places if (signal := monitors.signal_of(place, word)) is not None), None)
    return monitors.watcher(entry.monitor) if entry is not None and entry.area in FAULT_AREAS else None


def watchers_on(conditions: Iterable[str], labels: Iterable[str], annotations: Iterable[str]) -> frozenset[str]:
    """Returns the tools that write about the GPUs of a node, by its condition types and its keys."""
    words = [word for word in conditions if word in monitors.by_type()]
    words += [key for key in labels if monitors.signal_of("label", key) is not None]
    words += [key for key in annotations if monitors.signal_of("annotation", key) is not None]
    return frozenset(filter(None, map(_writer_of, words)))


def faults_of(reports: Iterable[FaultReport]) -> list[Fault]:
    """Returns the faults that these reports are of, by node and time."""
    faults: list[Fault] = []
    group: list[FaultReport] = []
    ends: datetime | None = None
    for report in sorted(reports, key=lambda row: (row.node, row.at, row.watcher)):
        apart = not group or report.node != group[0].node or (ends is not None and report.at > ends)
        if apart and group:
            faults.append(_fault(group))
            group = []
        lasts = None if report.until is None else max(report.until, report.at + TOGETHER)
        ends = lasts if apart else None if ends is None or lasts is None else max(ends, lasts)
        group.append(report)
    if group:
        faults.append(_fault(group))
    return faults


def _fault(group: Sequence[FaultReport]) -> Fault:
    first_by: dict[str, datetime] = {}
    for report in group:
        first_by.setdefault(report.watcher, report.at)
    return Fault(node=group[0].node, at=group[0].at, first_by=first_by)


def compare(faults: Sequence[Fault], watched: Mapping[str, Collection[Node]]) -> Comparison:
    """Returns what each tool saw. `watched` is watcher to the nodes it watches, beside those it reported on."""
    nodes: dict[str, set[Node]] = {watcher: set(on) for watcher, on in watched.items()}
    for fault in faults:
        for watcher in fault.first_by:
            nodes.setdefault(watcher, set()).add(fault.node)
    counted: dict[str, Counter[str]] = {watcher: Counter() for watcher in nodes}
    both: dict[tuple[str, str], int] = {
        (left, right): 0 for left, right in combinations(sorted(nodes), 2) if nodes[left] & nodes[right]
    }
    for fault in faults:
        for watcher in nodes:
            if watcher in fault.first_by:
                several = len(fault.first_by) > 1
                counted[watcher]["alone" if not several else "first" if watcher in fault.first else "later"] += 1
            elif fault.node in nodes[watcher]:
                counted[watcher]["silent"] += 1
        for pair in combinations(sorted(fault.first_by), 2):
            both[pair] += 1
    rows = [WatcherRow(watcher=watcher, nodes=len(on), **counted[watcher]) for watcher, on in nodes.items()]
    ordered = sorted(rows, key=lambda row: (-row.seen, row.watcher))
    return Comparison(faults=len(faults), rows=tuple(ordered), both=both)


class Predictions(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions of a window, judged afterwards."""

    came_true: int = 0
    """The node left ready within five hours."""
    did_not: int = 0
    pending: int = 0
    """Five hours have not passed yet."""
    unknown: int = 0
    """The node was not ready when it was predicted, or its verdict was unknown within the five hours."""
    removed: int = 0
    """The node was removed within the five hours, ready until then: whether it would have failed cannot be judged."""


class VerdictTime(msgspec.Struct, frozen=True):
    """A verdict of a node over a time; None for one that lasts."""

    verdict: str
    start: datetime
    end: datetime | None


def judge(
    predicted: Iterable[tuple[NodeId, datetime]], stretches: Mapping[NodeId, Sequence[VerdictTime]], now: datetime
) -> Predictions:
    """Returns how many predictions came true, given each node's verdicts in order of time.

    Nodes are distinguished by more than their names: one that was created again under the same name proves nothing about it.
    """
    counted: Counter[str] = Counter(_judged(at, stretches.get(node, ()), now) for node, at in predicted)
    return Predictions(**counted)


def _judged(at: datetime, stretches: Sequence[VerdictTime], now: datetime) -> str:
    limit = at + PREDICTION
    within = [row for row in stretches if row.start <= limit and (row.end is None or row.end > at)]
    if not within or within[0].start > at or within[0].verdict not in ("ready", "degraded"):
        return "unknown"
    left = next((row.start for row in within if row.verdict in ("not_ready", "starting")), None)
    if left is not None and left <= now:
        return "came_true"
    if any(row.verdict in ("unknown", "excluded") for row in within):
        return "unknown"
    if _has_gap(within, min(limit, now)):
        return "removed"
    return "pending" if now < limit else "did_not"


def _has_gap(within: Sequence[VerdictTime], until: datetime) -> bool:
    """Returns whether the verdicts end before `until` or leave a time between them: only a removed node has none."""
    ends = [row.end for row in within]
    starts = [row.start for row in within[1:]]
    broken = any(end is not None and end < start for end, start in zip(ends, starts, strict=False))
    return broken or (ends[-1] is not None and ends[-1] < until)
