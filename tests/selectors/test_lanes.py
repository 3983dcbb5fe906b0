"""Which rungs a node's timeline shows, which periods are quiet, and what a change is about."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fleet.domain.findings import Status
from fleet.selectors.history import lanes
from fleet.selectors.history.rows import Change, Rung

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DRIVER = "nvidia.com/cuda.driver.major"


def period(rung: str, status: str, minute: int = 0) -> Rung:
    return Rung(rung, NOON.replace(minute=minute), None, status, reason="", evidence=())


def change(section: str, key: str) -> Change:
    return {"section": section, "key": key, "before": "a", "after": "b"}


@pytest.mark.parametrize("status", list(Status))
def test_a_rung_is_quiet_where_it_passes_or_says_nothing_about_itself(status: Status) -> None:
    assert lanes.is_quiet_status(status) is (status in ("pass", "not_applicable", "blocked"))


@pytest.mark.parametrize("verdict", ["ready", "degraded", "not_ready", "starting", "unknown", "excluded"])
def test_only_ready_is_a_quiet_verdict(verdict: str) -> None:
    assert lanes.is_quiet_verdict(verdict) is (verdict == "ready")


def test_rungs_that_were_never_noisy_get_no_lane_and_the_highest_comes_first() -> None:
    rungs = [
        period("driver_loaded", "pass"),
        period("driver_loaded", "fail", 5),
        period("cuda_works", "blocked", 5),
        period("telemetry_healthy", "warn"),
        period("kubelet_ready", "pass"),
    ]
    assert [(rung, [item.status for item in periods]) for rung, periods in lanes.noisy_rungs(rungs)] == [
        ("telemetry_healthy", ["warn"]),
        ("driver_loaded", ["pass", "fail"]),
    ]


@pytest.mark.parametrize(
    ("changes", "kind", "noun", "key"),
    [
        (
            [change("labels", "team"), change("labels", "nvidia.com/cuda.driver.major")],
            "driver",
            "driver",
            "nvidia.com/cuda.driver.major",
        ),
        ([change("labels", "nvidia.com/mig.config.state")], "geometry", "MIG layout", "nvidia.com/mig.config.state"),
        ([change("labels", "nvidia.com/mig.strategy")], "geometry", "", "nvidia.com/mig.strategy"),
        ([change("labels", "team"), change("taints", "x:NoSchedule")], "taints", "taint", "x:NoSchedule"),
        (
            [change("allocatable", "nvidia.com/gpu"), change("capacity", "nvidia.com/gpu")],
            "devices",
            "capacity",
            "nvidia.com/gpu",
        ),
        ([change("new section", "x")], "labels", "new section", "x"),
    ],
)
def test_a_set_of_changes_is_about_its_most_specific_one(changes: list[Change], kind: str, noun: str, key: str) -> None:
    subject = lanes.change_subject(changes)
    assert (subject.kind, subject.noun, subject.change["key"], subject.others) == (kind, noun, key, len(changes) - 1)
