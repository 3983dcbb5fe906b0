"""Measurements of a device: every metric's value, or why there is none. Page, API and rules use the same reasons."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from fleet.domain.catalog.metrics import Metric, load
from fleet.domain.history.staleness import is_recent
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport

NOT_COLLECTED, EXPORTER_FAILED, STALE, NOT_ENABLED, NOT_REPORTED, REFUSED = (
    "not_collected", "exporter_failed", "stale", "not_enabled", "not_reported", "refused",
)  # fmt: skip


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one device."""

    metric: Metric
    value: float | None = None
    why: str = ""
    """Why there is no value: not_collected (the node is not measured), exporter_failed, stale, not_enabled (the exporter's
    counters leave it out), not_reported (exported, but not for this device), refused (the exporter's value is invalid)."""
    reason: str = ""
    """The same as one sentence."""
    turn_on: str = ""
    """Line of the exporter's counters CSV that enables it; only where it is not enabled."""
    last: float | None = None
    """Last known value, where it is too old to be current."""


def measure(
    sample: DeviceSample | None,
    report: ExporterReport | None,
    *,
    now: datetime,
    stale_after: timedelta,
    nvidia: bool = True,
    metrics: Iterable[Metric] | None = None,
) -> tuple[Measurement, ...]:
    """Returns every metric of the catalogue (or of `metrics`), in its order."""
    chosen = load().metric if metrics is None else metrics
    whole = _why(sample, report, now, stale_after)
    if whole is not None:
        why, reason = whole
        values = sample.values if sample is not None else {}
        return tuple(Measurement(metric=item, why=why, reason=reason, last=values.get(item.id)) for item in chosen)
    values, refused = (sample.values, sample.refused) if sample else ({}, {})
    exported = frozenset(report.metrics if report else ())
    return tuple(
        Measurement(metric=metric, value=values[metric.id])
        if metric.id in values
        else _missing(metric, exported, refused.get(metric.id, ""), nvidia)
        for metric in chosen
    )


def _why(
    sample: DeviceSample | None, report: ExporterReport | None, now: datetime, stale_after: timedelta
) -> tuple[str, str] | None:
    """Returns why no metric of the device is known now; None where one is."""
    if sample is not None and is_recent(sample.at, now, stale_after):
        return None
    if report is not None and report.outcome is not Outcome.COLLECTED:
        return EXPORTER_FAILED, report.reason or "The exporter of this node could not be read."
    if sample is not None:
        return STALE, f"Last sample at {sample.at:%Y-%m-%d %H:%M:%S} UTC."
    if report is not None:
        return NOT_REPORTED, "The exporter of this node answers, but does not report this device."
    return NOT_COLLECTED, "No exporter of GPU metrics is known on this node."


def _missing(metric: Metric, exported: frozenset[str], refused: str, nvidia: bool) -> Measurement:
    if refused:
        return Measurement(metric=metric, why=REFUSED, reason=f"Not a valid value: the exporter reports {refused}.")
    if metric.id in exported:
        reason = metric.note or "The exporter reports it, but not for this device."
        return Measurement(metric=metric, why=NOT_REPORTED, reason=reason)
    if not nvidia:
        return Measurement(metric=metric, why=NOT_REPORTED, reason="This vendor's exporter does not report it.")
    reason = "The exporter's counters leave it out." if not metric.default else "The exporter does not report it."
    return Measurement(metric=metric, why=NOT_ENABLED, reason=reason, turn_on=metric.csv)
