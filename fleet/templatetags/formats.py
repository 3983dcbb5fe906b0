"""Figures, ages and names as words: pure functions, no HTML. The browser's ages (static/js/ages.js) follow the same rules."""

from __future__ import annotations

import math
from datetime import UTC, datetime

UNKNOWN = "unknown"
MINUS = "\N{MINUS SIGN}"
NBSP = "\N{NO-BREAK SPACE}"
MINUTE, HOUR, DAY = 60, 3600, 86_400
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def number(value: float | None, digits: int | None = None) -> str:
    """1064 → `1,064`, −3 → `−3` with the real minus sign, 71.83 → `71.8`; None → `unknown`, never 0 and never a dash.

    `digits` are the decimals; unset means none for whole numbers and one for the rest.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return UNKNOWN
    if digits is None:
        digits = 0 if isinstance(value, int) else 1
    text = f"{abs(value):,.{digits}f}"
    negative = value < 0 and any(digit not in "0.," for digit in text)
    return MINUS + text if negative else text


def plural(count: int | None, row: str, many: str = "") -> str:
    """A count with its noun: `1 node`, `141 nodes`, and for None `an unknown number of nodes`."""
    many = many or row + "s"
    if count is None:
        return f"an unknown number of {many}"
    return f"{number(count)}{NBSP}{row if abs(count) == 1 else many}"


def percent(value: float | None, digits: int = 1) -> str:
    """95.1 → `95.1 %` (the argument is already in percent)."""
    if value is None:
        return UNKNOWN
    return f"{number(float(value), digits)}{NBSP}%"


def target(value: float) -> str:
    """An availability target as declared: 98 → `98 %`, 99.95 → `99.95 %`."""
    return f"{value:g}{NBSP}%"


def share(part: float | None, whole: float | None, digits: int = 1) -> str:
    """Part of whole in percent. Rounding never shows 100 % where something is missing, nor 0 % where something is present."""
    if part is None or not whole:
        return UNKNOWN
    value = 100 * part / whole
    step = 10**-digits
    if part < whole:
        value = min(value, 100 - step)
    if part > 0:
        value = max(value, step)
    return percent(value, digits)


def gib(mib: float | None) -> str:
    """Formats MiB as GiB with one decimal: 81559 → `79.6 GiB`."""
    return UNKNOWN if mib is None else f"{number(mib / 1024, 1)}{NBSP}GiB"


def duration(seconds: float | None) -> str:
    """A span in two units at most: `24 s`, `11 min`, `3 h 05 min`, `2 d 4 h`. Negative spans (clocks differ) are `0 s`."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole}{NBSP}s"
    if whole < HOUR:
        return f"{whole // MINUTE}{NBSP}min"
    if whole < DAY:
        hours, minutes = whole // HOUR, whole % HOUR // MINUTE
        return f"{hours}{NBSP}h {minutes:02d}{NBSP}min" if minutes else f"{hours}{NBSP}h"
    days, hours = whole // DAY, whole % DAY // HOUR
    return f"{number(days)}{NBSP}d {hours}{NBSP}h" if hours else f"{number(days)}{NBSP}d"


def took(milliseconds: float | None) -> str:
    """How long a piece of work took: `840 ms`, `3.2 s`, `1 min 12 s`."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 1000:
        return f"{int(milliseconds)}{NBSP}ms"
    seconds = milliseconds / 1000
    if seconds < MINUTE:
        return f"{seconds:.1f}{NBSP}s"
    minutes, rest = divmod(int(seconds), MINUTE)
    return f"{minutes}{NBSP}min {rest}{NBSP}s" if minutes < MINUTE else duration(seconds)


def moment(at: datetime | None, now: datetime | None = None) -> str:
    """`Sun 22 Nov 21:47 UTC`; with the year unless it is the current one."""
    if at is None:
        return UNKNOWN
    at = at.astimezone(UTC)
    year = "" if now is None or now.astimezone(UTC).year == at.year else f" {at.year}"
    return f"{_WEEKDAYS[at.weekday()]} {at.day} {_MONTHS[at.month - 1]}{year} {at:%H:%M} UTC"


def clock(at: datetime | None, now: datetime | None = None) -> str:
    """`21:47`; with `now`, a moment of another day includes its day: `22 Nov 21:47`."""
    if at is None:
        return UNKNOWN
    at = at.astimezone(UTC)
    if now is None or now.astimezone(UTC).date() == at.date():
        return f"{at:%H:%M}"
    year = "" if now.astimezone(UTC).year == at.year else f" {at.year}"
    return f"{at.day} {_MONTHS[at.month - 1]}{year} {at:%H:%M}"


def lowered(sentence: str) -> str:
    """A sentence behind a colon: its first letter small, unless its first word is a name or an abbreviation (GPU, Xid 79)."""
    first = sentence.split(" ", 1)[0]
    return (
        sentence
        if any(letter.isupper() or letter.isdigit() for letter in first[1:]) or first in _NAMES
        else sentence[:1].lower() + sentence[1:]
    )


_NAMES = frozenset({"Kubernetes", "Xid", "Muster", "Prometheus"})


def parts(name: str, tail: int = 6) -> tuple[str, str, str]:
    """A name in three parts (head, tail, rest), so that it can be cut where it is least specific.

    The page drops the rest first, then cuts the head with an ellipsis; the tail always stays, because names mostly differ
    at their end (`qwen3-32b-vllm-7d9f6c-xk2lp`). The rest is the domain of a dotted host name (`.ec2.internal`).
    """
    first, dot, domain = name.partition(".")
    rest = dot + domain if dot and not first.isdigit() else ""
    label = name[: len(name) - len(rest)]
    suffix = label.rpartition("-")[2]
    length = len(suffix) if 2 <= len(suffix) <= 2 * tail and len(suffix) < len(label) else tail
    if len(label) <= length + 3:
        return "", label, rest
    return label[:-length], label[-length:], rest


_PLAIN = frozenset({"A", "All", "An", "Every", "In", "It", "Its", "No", "Nothing", "One", "Some", "The", "There", "This"})


def clause(sentence: str) -> str:
    """A sentence as a part of another: without its full stop, and without the capital of a word that is no name."""
    text = sentence.strip().removesuffix(".")
    return text[:1].lower() + text[1:] if text.partition(" ")[0] in _PLAIN else text


def middle(name: str, longest: int = 24) -> str:
    """The name cut in the middle to `longest` characters, for places that hold text only (titles, charts)."""
    if len(name) <= longest:
        return name
    _, tail, rest = parts(name)
    if len(name) - len(rest) <= longest:
        return name[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
    tail = tail[-(longest // 2) :]
    return name[: longest - 1 - len(tail)].rstrip("-.") + "\N{HORIZONTAL ELLIPSIS}" + tail
