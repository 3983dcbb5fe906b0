"""When what a cluster said last stops being believed: the words, the same whoever finds it out and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_BEGINS = "Muster read nothing of this cluster"
REMEDY = "Open the cluster's page: it says why the cluster could not be read. If Muster itself stood still, its own log says why."


def sentence(read_at: datetime, stale_after: timedelta) -> str:
    """The reason of a verdict that turned unknown because nothing was read for `stale_after` since `read_at`."""
    minutes = round(stale_after.total_seconds() / 60)
    return (
        f"{_BEGINS} for more than {minutes} minute{'' if minutes == 1 else 's'} after "
        f"{read_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
    )


def is_silence(reason: str) -> bool:
    return reason.startswith(_BEGINS)
