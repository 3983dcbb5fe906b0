"""Health tools compared: of each fault on a node, which of them saw it first, with others, alone, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations

import msgspec

from fleet.domain.catalog import monitors

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
Node = tuple[str, str]
"""Cluster and name."""


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


def watcher_of(rule: str, key: str) -> str | None:
    """Returns which tool a finding of this rule and key comes from; None where it reports no fault of a GPU."""
    if rule in OWN_RULES:
        return MUSTER
    if rule == "dcgm_watches":
        return DCGM
    if rule != "monitors":
        return None
    word = key.removeprefix("event/")
    if word in monitors.by_type():
        return monitors.by_type()[word].name
    places: tuple[monitors.Place, ...] = ("label", "annotation", "taint", "pod_condition")
    return next((signal.monitor for place in places if (signal := monitors.signal_of(place, word)) is not None), None)


def watchers_on(conditions: Iterable[str], labels: Iterable[str], annotations: Iterable[str]) -> frozenset[str]:
    """Returns the tools that write to a node, by its condition types and its keys."""
    by_type = monitors.by_type()
    names = {by_type[type_].name for type_ in conditions if type_ in by_type}
    keys = [("label", key) for key in labels] + [("annotation", key) for key in annotations]
    for place, key in keys:
        signal = monitors.signal_of("label" if place == "label" else "annotation", key)
        if signal is not None:
            names.add(signal.monitor)
    return frozenset(names)


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


class VerdictTime(msgspec.Struct, frozen=True):
    """A verdict of a node over a time; None for one that lasts."""

    verdict: str
    start: datetime
    end: datetime | None


def judge(
    predicted: Iterable[tuple[Node, datetime]], stretches: Mapping[Node, Sequence[VerdictTime]], now: datetime
) -> Predictions:
    """Returns how many predictions came true, given each node's verdicts in order of time."""
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
    return "pending" if now < limit else "did_not"
