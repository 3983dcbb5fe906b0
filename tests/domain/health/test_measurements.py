from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.domain.catalog.metrics import by_id
from fleet.domain.health.measurements import Measurement, measure
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
SAMPLE = DeviceSample(node_name="n", uuid="GPU-0", at=AT, values={"gpu_temp": 40.0})
FINE = ExporterReport(node_name="n", outcome=Outcome.COLLECTED, at=AT, metrics=("gpu_temp", "memory_temp"))
FAILED = ExporterReport(node_name="n", outcome=Outcome.TIMEOUT, reason="Too slow.", at=AT, metrics=("gpu_temp",))


def measure_metric(
    metric: str, sample: DeviceSample | None, report: ExporterReport | None, age_s: float = 0, **more: Any
) -> Measurement:
    (result,) = measure(
        sample, report, now=AT + timedelta(seconds=age_s), stale_after=timedelta(minutes=2), metrics=[by_id()[metric]], **more
    )
    return result


@pytest.mark.parametrize(
    ("metric", "sample", "report", "age_s", "value", "why"),
    [
        ("gpu_temp", SAMPLE, FINE, 0, 40.0, ""),
        ("gpu_temp", SAMPLE, FAILED, 60, 40.0, ""),
        ("memory_temp", SAMPLE, FINE, 0, None, "not_reported"),
        ("ecc_dbe_volatile", SAMPLE, FINE, 0, None, "not_enabled"),
        ("gpu_temp", SAMPLE, FINE, 600, None, "stale"),
        ("gpu_temp", SAMPLE, FAILED, 600, None, "exporter_failed"),
        ("gpu_temp", None, FAILED, 0, None, "exporter_failed"),
        ("gpu_temp", None, FINE, 0, None, "not_reported"),
        ("gpu_temp", None, None, 0, None, "not_collected"),
        ("ecc_dbe_volatile", None, None, 0, None, "not_collected"),
    ],
)
def test_a_value_or_why_there_is_none(
    metric: str, sample: DeviceSample | None, report: ExporterReport | None, age_s: float, value: float | None, why: str
) -> None:
    result = measure_metric(metric, sample, report, age_s)
    assert (result.value, result.why) == (value, why)
    assert bool(result.reason) == bool(why)
    assert bool(result.turn_on) == (why == "not_enabled")


def test_a_value_that_is_too_old_is_only_the_last() -> None:
    assert measure_metric("gpu_temp", SAMPLE, FINE, 600).last == 40.0


def test_another_vendors_exporter_has_no_counters_csv() -> None:
    result = measure_metric("ecc_dbe_volatile", SAMPLE, FINE, nvidia=False)
    assert (result.why, result.turn_on) == ("not_reported", "")


def test_every_metric_of_the_catalogue_is_answered_for() -> None:
    result = measure(SAMPLE, FINE, now=AT, stale_after=timedelta(minutes=2))
    assert [item.metric.id for item in result] == list(by_id())
    assert all((entry.value is None) == bool(entry.why) for entry in result)
