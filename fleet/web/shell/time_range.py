"""The time that a page shows, in its address: `?window=24h`, or `?since=…&until=…` for a custom one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.http import HttpRequest

from fleet.web.shell.moments import moment_of

NAMES = ("1h", "6h", "24h", "7d", "30d", "90d")
CUSTOM = "custom"
_LENGTHS = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
LONGEST = timedelta(days=400)
SHORTEST = timedelta(minutes=1)
_OWN = ("window", "since", "until", "page", "cursor", "day", "from", "for", "name")
"""Parameters that another range makes meaningless."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One range to choose, as a link."""

    label: str
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class TimeRange:
    """[since, until) with its name."""

    name: str
    """One of NAMES, or custom; empty where the list shows no range."""
    since: datetime
    until: datetime
    choices: tuple[Choice, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    """Parameters of the address that the form of a custom range keeps."""
    error: str = ""
    """Error of the requested range; the default is shown instead."""

    @property
    def length(self) -> timedelta:
        return self.until - self.since

    @property
    def words(self) -> str:
        """The range inside a sentence."""
        return "this range" if self.is_custom else label_of(self.name)

    @property
    def key(self) -> str:
        """What distinguishes two ranges of one page in its ETag."""
        return f"{stamp(self.since)}/{stamp(self.until)}" if self.is_custom else self.name

    @property
    def is_custom(self) -> bool:
        return self.name == CUSTOM


def read(
    request: HttpRequest, now: datetime, *, default: str = "24h", names: Sequence[str] = NAMES, without: str = ""
) -> TimeRange:
    """Returns the range of the address; the default where there is none, or where it cannot be read.

    `without` is the label of a choice that shows no range: it comes first and is the default, with an empty name.
    """
    params, error = request.GET, ""
    name = params.get("window", "")
    since, until = params.get("since", ""), params.get("until", "")
    chosen: tuple[str, datetime, datetime] | None = None
    if since or until:
        begin, end, error = _custom(since, until, now)
        chosen = (CUSTOM, begin, end) if begin is not None and end is not None else None
    elif name in names:
        chosen = (name, now - _LENGTHS[name], now)
    elif name and name != CUSTOM:
        error = f"“{name[:20]}” is not a time range. Choose from {', '.join(names)}. Showing {without or label_of(default)}."
    result = chosen or (("", now, now) if without else (default, now - _LENGTHS[default], now))
    kept = [(key, value) for key, values in params.lists() if key not in _OWN for value in values if value]
    choices = _choices(request, result[0], ("", *names) if without else names, without)
    return TimeRange(*result, choices=choices, kept=tuple(kept), error=error)


def label_of(name: str) -> str:
    """24h → `24 h`."""
    return f"{name[:-1]} {name[-1]}"


def _custom(since: str, until: str, now: datetime) -> tuple[datetime | None, datetime | None, str]:
    begin, end = moment_of(since) if since else None, moment_of(until) if until else now
    for text, at in ((since, begin), (until, end)):
        if text and at is None:
            return None, None, f"“{text[:40]}” is not a date and time such as 2026-11-22T21:40 (UTC)."
    if begin is None:
        return None, None, "A custom range needs the time it begins."
    end = min(end or now, now)
    if end - begin < SHORTEST:
        return None, None, "The range must end after it begins, and begin in the past."
    if end - begin > LONGEST:
        return None, None, f"A range may be at most {LONGEST.days} days long."
    return begin, end, ""


def _choices(request: HttpRequest, current: str, names: Sequence[str], without: str) -> tuple[Choice, ...]:
    rows = []
    for name in names:
        params = request.GET.copy()
        for own in _OWN:
            params.pop(own, None)
        if name:
            params["window"] = name
        rows.append(Choice(label_of(name) if name else without, f"?{params.urlencode()}", name == current))
    return tuple(rows)


def stamp(at: datetime) -> str:
    """A moment as an address holds it: `2026-11-30T04:19:00Z`."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
