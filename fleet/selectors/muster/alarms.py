"""Alarms about Muster itself: workers that do not keep up, clocks that differ, data that contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from fleet.models import Cluster, DataCheck
from fleet.selectors.clusters import clusters
from fleet.selectors.muster import installations

CLOCK_TOLERANCE = timedelta(seconds=30)
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm about Muster itself: `id` is workers, clock, data or installations."""

    id: str
    text: str
    """One sentence, without names of clusters."""
    clusters: tuple[str, ...] = ()
    """Names of the clusters it is about, the worst first."""

    @property
    def names(self) -> str:
        """The first names, and the number of others."""
        more = len(self.clusters) - _MOST_NAMES
        return ", ".join(self.clusters[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def alarms(now: datetime) -> list[Alarm]:
    """Returns every current alarm. Two queries."""
    rows = list(clusters())
    checked = DataCheck.objects.first()
    each = (_workers(rows, now), _clock_behind_data(rows, now), _clocks_differ(rows), _data(checked))
    return [alarm for alarm in each if alarm is not None]


def second_installation() -> Alarm | None:
    """Returns the alarm that another installation is connected to this database. One query, and not one for every page."""
    if not installations.others():
        return None
    text = (
        "Another installation of Muster, with another SECRET_KEY, writes to this database: clusters of both appear and disappear."
    )
    return Alarm("installations", text)


def overdue_s(cluster: Cluster, now: datetime) -> float | None:
    """Seconds since a collection run should have begun; None while none is due.

    A failing cluster waits for its own lane, and a paused one for the end of its pause: neither is a sign of late workers.
    """
    if cluster.next_due_at is None or cluster.troubled_runs or (cluster.paused_until and cluster.paused_until > now):
        return None
    return max(0.0, (now - cluster.next_due_at).total_seconds())


def overdue(now: datetime) -> list[tuple[str, float]]:
    """(cluster, seconds) of those that wait for longer than an interval, the longest first. One query."""
    return _overdue(list(clusters()), now)


def clock_ahead_of_data_s(now: datetime) -> float:
    """Seconds by which the newest recorded moment lies in the future; 0 where none does. One query."""
    return _ahead_s(list(clusters()), now)


def last_check() -> DataCheck | None:
    """The newest check of the invariants."""
    return DataCheck.objects.first()


def _overdue(rows: list[Cluster], now: datetime) -> list[tuple[str, float]]:
    waits = [(row.name, seconds) for row in rows if (seconds := overdue_s(row, now)) is not None]
    late = settings.COLLECT_INTERVAL.total_seconds()
    return sorted((wait for wait in waits if wait[1] > late), key=lambda wait: -wait[1])


def _workers(rows: list[Cluster], now: datetime) -> Alarm | None:
    late = _overdue(rows, now)
    if not late:
        return None
    names, longest = tuple(name for name, _ in late), _length(late[0][1])
    healthy = [row for row in rows if overdue_s(row, now) is not None]
    if len(late) == len(healthy):
        return Alarm("workers", f"No collection run has begun for {longest}: no worker is running, or beat is not.", names)
    text = f"Workers do not keep up: {len(late):,} of {len(rows):,} clusters are overdue, the longest by {longest}."
    return Alarm("workers", text, names)


def _clock_behind_data(rows: list[Cluster], now: datetime) -> Alarm | None:
    ahead = _ahead_s(rows, now)
    if ahead <= CLOCK_TOLERANCE.total_seconds():
        return None
    names = tuple(row.name for row in rows if row.taken_at and row.taken_at - now > CLOCK_TOLERANCE)
    text = f"The clock was set back: the newest data is from {_length(ahead)} ahead. Ages and durations are wrong until then."
    return Alarm("clock", text, names)


def _ahead_s(rows: list[Cluster], now: datetime) -> float:
    return max((max(0.0, (row.taken_at - now).total_seconds()) for row in rows if row.taken_at), default=0.0)


def _clocks_differ(rows: list[Cluster]) -> Alarm | None:
    tolerated = CLOCK_TOLERANCE.total_seconds()
    differing = [(row.clock_ahead_s, row.name) for row in rows if row.clock_ahead_s and abs(row.clock_ahead_s) > tolerated]
    if not differing:
        return None
    differing.sort(key=lambda item: -abs(item[0]))
    worst = differing[0][0]
    direction = "behind" if worst > 0 else "ahead of"
    count = f"{len(differing):,} of {len(rows):,} API servers"
    text = f"Clocks differ: Muster's is {_length(abs(worst))} {direction} that of {count}. Synchronise them (NTP)."
    return Alarm("clock", text, tuple(name for _, name in differing))


def _data(checked: DataCheck | None) -> Alarm | None:
    if checked is None or not checked.count:
        return None
    count = f"{checked.count:,} {'breach' if checked.count == 1 else 'breaches'}"
    return Alarm("data", f"The data contradicts itself: {count} at {checked.at:%Y-%m-%d %H:%M} UTC. Run `manage.py check_data`.")


def _length(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{int(seconds)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
