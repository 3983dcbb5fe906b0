from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.domain.catalog.metrics import by_id
from fleet.domain.measured import Measurement, measure
from fleet.domain.outcomes import Outcome
from fleet.domain.telemetry import DeviceSample, ExporterReport

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
SAMPLE = DeviceSample(node_name="n", uuid="GPU-0", at=AT, values={"gpu_temp": 40.0})
FINE = ExporterReport(node_name="n", outcome=Outcome.COLLECTED, at=AT, metrics=("gpu_temp", "memory_temp"))
FAILED = ExporterReport(node_name="n", outcome=Outcome.TIMEOUT, reason="Too slow.", at=AT, metrics=("gpu_temp",))


def one(metric: str, sample: DeviceSample | None, report: ExporterReport | None, age_s: float = 0, **more: Any) -> Measurement:
    (found,) = measure(
        sample, report, now=AT + timedelta(seconds=age_s), stale_after=timedelta(minutes=2), metrics=[by_id()[metric]], **more
    )
    return found


@pytest.mark.parametrize(
    ("metric", "sample", "report", "age_s", "value", "why"),
    [
        ("gpu_temp", SAMPLE, FINE, 0, 40.0, ""),
        ("gpu_temp", SAMPLE, FAILED, 60, 40.0, ""),
        ("memory_temp", SAMPLE, FINE, 0, None, "not_told"),
        ("ecc_dbe_volatile", SAMPLE, FINE, 0, None, "not_enabled"),
        ("gpu_temp", SAMPLE, FINE, 600, None, "stale"),
        ("gpu_temp", SAMPLE, FAILED, 600, None, "exporter_failed"),
        ("gpu_temp", None, FAILED, 0, None, "exporter_failed"),
        ("gpu_temp", None, FINE, 0, None, "not_told"),
        ("gpu_temp", None, None, 0, None, "not_collected"),
        ("ecc_dbe_volatile", None, None, 0, None, "not_collected"),
    ],
)
def test_a_value_or_why_there_is_none(
    metric: str, sample: DeviceSample | None, report: ExporterReport | None, age_s: float, value: float | None, why: str
) -> None:
    found = one(metric, sample, report, age_s)
    assert (found.value, found.why) == (value, why)
    assert bool(found.reason) == bool(why)
    assert bool(found.turn_on) == (why == "not_enabled")


def test_a_value_that_is_too_old_is_only_the_last() -> None:
    assert one("gpu_temp", SAMPLE, FINE, 600).last == 40.0


def test_another_vendors_exporter_has_no_counters_csv() -> None:
    found = one("ecc_dbe_volatile", SAMPLE, FINE, nvidia=False)
    assert (found.why, found.turn_on) == ("not_told", "")


def test_every_metric_of_the_catalogue_is_answered_for() -> None:
    found = measure(SAMPLE, FINE, now=AT, stale_after=timedelta(minutes=2))
    assert [one.metric.id for one in found] == list(by_id())
    assert all((one.value is None) == bool(one.why) for one in found)
