"""Tools compared on a scripted month whose truth is known: who saw first, with others, alone, nothing; predictions judged."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from fleet.domain.catalog import monitors
from fleet.domain.findings import Evidence
from fleet.domain.history.watchers import (
    PREDICTION,
    TOGETHER,
    FaultReport,
    Predictions,
    VerdictTime,
    compare,
    faults_of,
    judge,
    watchers_of,
    watchers_on,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
TOOLS = ("DCGM", "NVSentinel", "EKS", "GKE", "AKS", "HyperPod", "Autopilot", "Muster")
NODES = [("east", f"n{number}") for number in range(6)]


Watched = dict[str, set[tuple[str, str]]]


def script(seed: int) -> tuple[list[FaultReport], Watched, dict[str, Counter[str]], Counter[tuple[str, str]]]:
    """Reports of a month, which tool watches which node, and the truth: what each tool saw, and each pair together."""
    chance = random.Random(seed)
    watched = {tool: set(chance.sample(NODES, chance.randint(2, 6))) for tool in TOOLS}
    reports: list[FaultReport] = []
    truth: dict[str, Counter[str]] = {tool: Counter() for tool in TOOLS}
    pairs: Counter[tuple[str, str]] = Counter()
    for node in NODES:
        at = START
        while (at := at + timedelta(hours=chance.randint(3, 90))) < START + timedelta(days=30):
            able = [tool for tool in TOOLS if node in watched[tool]]
            seen_by = {tool: chance.randint(0, 20) for tool in able if chance.random() < 0.6}
            lasts = timedelta(minutes=chance.randint(30, 90))
            reports += [
                FaultReport(watcher=tool, node=node, at=at + timedelta(minutes=late), until=at + lasts)
                for tool, late in seen_by.items()
            ]
            if not seen_by:
                continue
            earliest = min(seen_by.values())
            for tool in able:
                if tool not in seen_by:
                    truth[tool]["silent"] += 1
                elif len(seen_by) == 1:
                    truth[tool]["alone"] += 1
                else:
                    truth[tool]["first" if seen_by[tool] == earliest else "later"] += 1
            pairs.update(combinations(sorted(seen_by), 2))
    chance.shuffle(reports)
    return reports, watched, truth, pairs


@pytest.mark.parametrize("seed", range(20))
def test_the_matrix_of_a_scripted_month_is_exact(seed: int) -> None:
    reports, watched, truth, pairs = script(seed)
    result = compare(faults_of(reports), watched)
    counted = {row.watcher: {name: getattr(row, name) for name in ("first", "later", "alone", "silent")} for row in result.rows}
    assert counted == {tool: {name: truth[tool][name] for name in ("first", "later", "alone", "silent")} for tool in TOOLS}
    assert {pair: number for pair, number in result.both.items() if number} == dict(pairs)
    assert {row.watcher: row.nodes for row in result.rows} == {tool: len(watched[tool]) for tool in TOOLS}


def report(watcher: str, minutes: float, until: float | None = 0, node: str = "n0") -> FaultReport:
    ends = None if until is None else START + timedelta(minutes=until or minutes)
    return FaultReport(watcher=watcher, node=("east", node), at=START + timedelta(minutes=minutes), until=ends)


def test_reports_exactly_half_an_hour_apart_are_of_one_fault_and_a_second_more_are_not() -> None:
    limit = TOGETHER.total_seconds() / 60
    assert len(faults_of([report("a", 0), report("b", limit)])) == 1
    assert len(faults_of([report("a", 0), report("b", limit + 1 / 60)])) == 2
    assert len(faults_of([report("a", 0, until=300), report("b", 299)])) == 1, "the first still stands"
    assert len(faults_of([report("a", 0, until=None), report("b", 9_999)])) == 1
    assert len(faults_of([report("a", 0, until=None), report("b", 1, node="n1")])) == 2


def test_a_tool_that_is_not_on_a_node_is_not_silent_there() -> None:
    result = compare(faults_of([report("a", 0)]), {"b": {("east", "n1")}, "c": {("east", "n0")}})
    rows = {row.watcher: row for row in result.rows}
    assert (rows["a"].alone, rows["b"].silent, rows["c"].silent) == (1, 0, 1)
    assert set(result.both) == {("a", "c")}


@pytest.mark.parametrize(
    ("rule", "key", "watcher"),
    [
        ("monitors", "GpuMemWatch", "NVSentinel"),
        ("monitors", "GPUReset", "NVSentinel"),
        ("monitors", "AcceleratedHardwareReady", "EKS"),
        ("monitors", "XidCriticalError", "GKE"),
        ("monitors", "GPUMissing", "AKS"),
        ("monitors", "GPUClockThrottling", "AKS"),
        ("monitors", "sagemaker.amazonaws.com/fault-type", "HyperPod"),
        ("monitors", "autopilot.ibm.com/gpuhealth", "Autopilot"),
        ("monitors", "event/GpuMemWatch", "NVSentinel"),
        ("monitors", "event/Unheard", None),
        ("dcgm_watches", "MEM", "DCGM"),
        ("gpu_lost", "", "Muster"),
        ("xid", "GPU-1/79", "Muster"),
        ("xid", "GPU-1/last", None),
        ("stuck_out_of_service", "x", None),
        ("predicted_to_fail", "x", None),
        *[("monitors", type_, None) for type_ in ("VMEventScheduled", "CSPMaintenance", "KernelDeadlock", "KernelReady",
            "DCGMError", "UnhealthyNvidiaDevicePlugin", "UnhealthyNvidiaDCGMServices", "IBLinkFlapping", "KubeletProblem",
            "GpuCpusetWatch", "SlurmNodeStateDrain", "cloud.google.com/active-node-maintenance")],
    ],
)  # fmt: skip
def test_whose_a_finding_is(rule: str, key: str, watcher: str | None) -> None:
    assert watchers_of(rule, key) == ({watcher} if watcher else frozenset())


@pytest.mark.parametrize(
    ("source", "reporter", "watchers"),
    [
        ("condition", "GKE device plugin", {"GKE"}),
        ("event", "EKS node monitoring agent", {"EKS"}),
        ("event", "kernel-monitor", {"Muster"}),
        ("dcgm", "", {"Muster"}),
        ("dcgm", "NVSentinel", {"Muster", "NVSentinel"}),
    ],
)
def test_an_xid_is_of_who_saw_it(source: str, reporter: str, watchers: set[str]) -> None:
    """Muster reads other tools' Xids in conditions and Events: it did not see those itself."""
    named = [Evidence("event", "reported by", reporter)] if reporter else []
    assert watchers_of("xid", "GPU-1/79", [Evidence(source, "Xid", "79"), *named]) == watchers


def test_a_warning_in_an_event_is_of_who_wrote_the_event() -> None:
    evidence = [Evidence("event", "NvidiaNVLinkError", "warning"), Evidence("event", "reported by", "EKS node monitoring agent")]
    assert watchers_of("monitors", "event/NvidiaNVLinkError", evidence) == {"EKS"}


def test_who_writes_about_the_gpus_of_a_node() -> None:
    labels = ["autopilot.ibm.com/gpuhealth", "team", "cloud.google.com/active-node-maintenance"]
    conditions = ["Ready", "GpuMemWatch", "VMEventScheduled", "KernelDeadlock"]
    assert watchers_on(conditions, labels, ["sunk.coreweave.com/drain"]) == {"NVSentinel", "Autopilot"}
    gke = "gke.google.com/recommended-to-run-large-training-workload"
    assert watchers_on(["XidCriticalError"], [gke], []) == {"GKE"}, "one watcher, wherever it writes"


def test_every_provider_is_one_watcher() -> None:
    words = {type_ for monitor in monitors.load().monitor for type_ in monitor.types}
    words |= {signal.key for signal in monitors.load().signal}
    seen_by = {watcher for word in words for watcher in watchers_of("monitors", word)} | {"DCGM", "Muster"}
    assert seen_by == {*TOOLS, "GCM health checks", "Nebius node checks"}


def stretch(verdict: str, start: float, end: float | None = None) -> VerdictTime:
    return VerdictTime(verdict, START + timedelta(hours=start), None if end is None else START + timedelta(hours=end))


@pytest.mark.parametrize(
    ("stretches", "now", "outcome"),
    [
        ([stretch("ready", -1, 5), stretch("not_ready", 5)], 9, "came_true"),
        ([stretch("ready", -1, 5.01), stretch("not_ready", 5.01)], 9, "did_not"),
        ([stretch("ready", -1)], 5, "did_not"),
        ([stretch("ready", -1)], 4.99, "pending"),
        ([stretch("ready", -1, 1), stretch("not_ready", 1, 2), stretch("ready", 2)], 3, "came_true"),
        ([stretch("ready", -1, 1), stretch("degraded", 1)], 9, "did_not"),
        ([stretch("ready", -1, 1), stretch("unknown", 1)], 9, "unknown"),
        ([stretch("not_ready", -1)], 9, "unknown"),
        ([stretch("ready", 1)], 9, "unknown"),
        ([], 9, "unknown"),
        ([stretch("ready", -1, 4)], 9, "removed"),
        ([stretch("ready", -1, 4)], 4.5, "removed"),
        ([stretch("ready", -1, 4)], 3.5, "pending"),
        ([stretch("ready", -1, 5)], 9, "did_not"),
        ([stretch("ready", -1, 2), stretch("not_ready", 2, 3)], 9, "came_true"),
        ([stretch("ready", -1, 2), stretch("unknown", 2, 3)], 9, "unknown"),
        ([stretch("ready", -1, 2), stretch("ready", 3)], 9, "removed"),
    ],
)
def test_a_prediction_is_judged_by_whether_the_node_left_ready(stretches: list[VerdictTime], now: float, outcome: str) -> None:
    result = judge([(7, START)], {7: stretches}, START + timedelta(hours=now))
    assert result == Predictions(**{outcome: 1})
    assert timedelta(hours=5) == PREDICTION
