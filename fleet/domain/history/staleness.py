"""Age limits of last known data, and the sentence for data past its limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_BEGINS = "Muster read nothing of this cluster"
REMEDY = "Open the cluster's page: it shows why the cluster could not be read. If Muster itself was not running, see its log."


def sentence(read_at: datetime, stale_after: timedelta) -> str:
    """Returns the reason of a verdict that became unknown because nothing was read for `stale_after` since `read_at`."""
    minutes = round(stale_after.total_seconds() / 60)
    return (
        f"{_BEGINS} for more than {minutes} minute{'' if minutes == 1 else 's'} after "
        f"{read_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
    )


def recent_for(interval: timedelta) -> timedelta:
    """Returns the maximum age of a recent sample, for one sample per `interval`.

    Three samples may be missed; at least five minutes, the time in which an exporter restarts.
    """
    return max(3 * interval, timedelta(minutes=5))


def is_recent(at: datetime, now: datetime, limit: timedelta) -> bool:
    """Returns whether a sample is at most `limit` old.

    One from the future, by more than clocks differ, is not recent: its age is not known.
    """
    return -limit <= now - at <= limit


def is_silence(reason: str) -> bool:
    return reason.startswith(_BEGINS)
