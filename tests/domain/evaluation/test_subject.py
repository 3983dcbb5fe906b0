"""What ladder and rules must agree on: when a node booted, and which samples say how things are now."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.evaluation.subject import ClusterHistory, NodeHistory
from fleet.domain.history.staleness import recent_for
from fleet.domain.snapshot import ClusterSnapshot, NodeInfo
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, Telemetry
from tests.builders import NODE, make_node
from tests.domain.evaluation.snapshots import NOW, snapshot_of

EIGHT = tuple(f"GPU-{number}" for number in range(8))
AGES = timedelta(days=30)


def measured(cards: int, boot_id: str) -> ClusterSnapshot:
    """One node whose exporter names this many GPUs."""
    snapshot = snapshot_of(make_node(node_info=NodeInfo(boot_id=boot_id)))
    samples = tuple(DeviceSample(node_name=NODE, uuid=uuid, at=NOW, values={"gpu_util": 0.0}) for uuid in EIGHT[:cards])
    report = ExporterReport(node_name=NODE, namespace="gpu", pod="dcgm", source="pod-proxy", at=NOW, outcome=Outcome.COLLECTED)
    return msgspec.structs.replace(snapshot, telemetry=Telemetry(source="pod-proxy", samples=samples, exporters=(report,)))


def history() -> ClusterHistory:
    node = NodeHistory(first_seen_at=NOW - AGES, found_at_start=True, boot_id="before", known_uuids=EIGHT, most_seen=8)
    return ClusterHistory(nodes={f"uid-{NODE}": node})


@pytest.mark.parametrize(("boot_id", "lost", "verdict"), [("before", True, "not_ready"), ("after", False, "starting")])
def test_a_gpu_that_is_not_up_yet_after_a_reboot_seen_in_this_run_is_not_lost(boot_id: str, lost: bool, verdict: str) -> None:
    (node,) = evaluate(measured(7, boot_id), history()).nodes
    rules = {finding.rule for result in node.results for finding in result.findings}
    assert ("gpu_lost" in rules, node.readiness.verdict) == (lost, verdict)


@pytest.mark.parametrize(("interval_s", "minutes"), [(5, 5), (30, 5), (100, 5), (101, 5.05), (600, 30)])
def test_three_samples_may_be_missed_and_never_less_than_five_minutes(interval_s: int, minutes: float) -> None:
    assert recent_for(timedelta(seconds=interval_s)) == timedelta(minutes=minutes)


@pytest.mark.parametrize(("age", "reported"), [(timedelta(minutes=30), True), (timedelta(minutes=30, seconds=1), False)])
def test_with_one_reading_in_ten_minutes_a_sample_counts_for_thirty(age: timedelta, reported: bool) -> None:
    snapshot = measured(8, "before")
    old = tuple(msgspec.structs.replace(sample, at=NOW - age) for sample in snapshot.telemetry.samples)
    snapshot = msgspec.structs.replace(snapshot, telemetry=msgspec.structs.replace(snapshot.telemetry, samples=old))
    known = msgspec.structs.replace(history(), samples_recent_for=recent_for(timedelta(minutes=10)))
    (node,) = evaluate(snapshot, known).nodes
    rung = next(rung for rung in node.readiness.rungs if rung.id == "telemetry_healthy")
    assert ((rung.own_status or rung.status) == "pass") is reported
