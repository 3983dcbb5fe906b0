"""What is known of a device now, metric by metric: a value, or why there is none. Page, API and rules use the same words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from fleet.domain.catalog.metrics import Metric, load
from fleet.domain.outcomes import Outcome
from fleet.domain.telemetry import DeviceSample, ExporterReport

NOT_COLLECTED, EXPORTER_FAILED, STALE, NOT_ENABLED, NOT_TOLD = (
    "not_collected", "exporter_failed", "stale", "not_enabled", "not_told",
)  # fmt: skip


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one device."""

    metric: Metric
    value: float | None = None
    why: str = ""
    """Why there is no value: not_collected (nobody measures this node), exporter_failed, stale, not_enabled (the exporter's
    counters leave it out), not_told (the exporter tells it, but not of this device)."""
    reason: str = ""
    """The same as one plain sentence."""
    turn_on: str = ""
    """The line of the exporter's counters CSV that switches it on; only where it is not enabled."""
    last: float | None = None
    """The last value there was, where it is too old to be one."""


def measure(
    sample: DeviceSample | None,
    report: ExporterReport | None,
    *,
    now: datetime,
    stale_after: timedelta,
    nvidia: bool = True,
    metrics: Iterable[Metric] | None = None,
) -> tuple[Measurement, ...]:
    """Every metric of the catalogue (or of `metrics`), in its order."""
    chosen = load().metric if metrics is None else metrics
    whole = _why(sample, report, now, stale_after)
    if whole is not None:
        why, reason = whole
        values = sample.values if sample is not None else {}
        return tuple(Measurement(metric=one, why=why, reason=reason, last=values.get(one.id)) for one in chosen)
    values, told = sample.values if sample else {}, frozenset(report.metrics if report else ())
    return tuple(
        Measurement(metric=one, value=values[one.id]) if one.id in values else _missing(one, told, nvidia) for one in chosen
    )


def _why(
    sample: DeviceSample | None, report: ExporterReport | None, now: datetime, stale_after: timedelta
) -> tuple[str, str] | None:
    """Why nothing at all is known of the device now; None where something is."""
    fresh = sample is not None and now - sample.at <= stale_after
    if fresh:
        return None
    if report is not None and report.outcome is not Outcome.COLLECTED:
        return EXPORTER_FAILED, report.reason or "The exporter of this node could not be read."
    if sample is not None:
        return STALE, f"Not measured since {sample.at:%Y-%m-%d %H:%M:%S} UTC."
    if report is not None:
        return NOT_TOLD, "The exporter of this node answers, and tells nothing of this device."
    return NOT_COLLECTED, "No exporter of this node is known: nobody measures its GPUs."


def _missing(metric: Metric, told: frozenset[str], nvidia: bool) -> Measurement:
    if metric.id in told:
        return Measurement(metric=metric, why=NOT_TOLD, reason=metric.note or "The exporter tells it, but not of this device.")
    if not nvidia:
        return Measurement(metric=metric, why=NOT_TOLD, reason="This vendor's exporter has no such number.")
    reason = "The exporter's counters leave it out." if not metric.default else "The exporter has no series of it."
    return Measurement(metric=metric, why=NOT_ENABLED, reason=reason, turn_on=metric.csv)
