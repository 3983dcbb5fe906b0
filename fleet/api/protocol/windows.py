"""Moments, windows and numbers in queries, refused with the parameter's name where they cannot be."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = re.compile(r"([1-9][0-9]{0,2})d$", re.ASCII)
_LOST_PLUS = re.compile(r" (?=\d\d:\d\d$)")
SINCE = OpenApiParameter("since", datetime, description="Beginning of the window, instead of `window`.")
UNTIL = OpenApiParameter("until", datetime, description="End of the window; defaults to now.")
WINDOW = OpenApiParameter("window", str, description="Whole days up to today (UTC), today among them: `7d`, `30d`, `90d`.")
POOL = OpenApiParameter("pool", str, description="Only the time in this pool; empty for none.")
CLUSTER = OpenApiParameter("cluster", str, description="Only this cluster.")


def only(request: Request, names: Collection[str]) -> None:
    """Refuses unknown parameters: a misspelt one must not return every row."""
    unknown = sorted(set(request.query_params) - set(names) - {"format"})
    if unknown:
        raise ValidationError(
            {name: [f"Unknown parameter. Available parameters: {', '.join(sorted(names))}."] for name in unknown}
        )


def moment(request: Request, name: str) -> datetime | None:
    """The parameter as a moment, None where it is absent; never in the future."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        at = parse_datetime(_LOST_PLUS.sub("+", text.strip()))
        at = at.astimezone(UTC) if at is not None and at.tzinfo is not None else None
    except (ValueError, OverflowError):  # a moment of year 1 or 9999 may have no equivalent in UTC
        at = None
    if at is None or at < _EARLIEST:
        raise ValidationError({name: ["Enter a time with its UTC offset, for example 2026-11-23T14:02:00Z."]})
    if at > timezone.now() + timedelta(seconds=5):
        raise ValidationError({name: ["This time is in the future."]})
    return at


def required_moment(request: Request, name: str) -> datetime:
    at = moment(request, name)
    if at is None:
        raise ValidationError({name: ["Required: a time, for example 2026-11-23T14:02:00Z."]})
    return at


def window(request: Request, days: int = 30, at_most: int = 400) -> tuple[datetime, datetime, bool]:
    """Returns (since, until, whether both are whole days) from `since` and `until`, or from `window` (7d), or the default."""
    since, until = moment(request, "since"), moment(request, "until")
    text = request.query_params.get("window")
    if text is not None:
        if since is not None or until is not None:
            raise ValidationError({"window": ["Give either a window or since and until."]})
        result = _DAYS.match(text)
        if result is None or not 1 <= int(result[1]) <= at_most:
            raise ValidationError({"window": [f"Enter a number of days up to {at_most}, for example 30d."]})
        days = int(result[1])
    now = timezone.now()
    if since is None:
        return (*last_days(days, until or now), until is None)
    until = until or now
    if until <= since:
        raise ValidationError({"until": ["The window ends before it begins."]})
    if until - since > timedelta(days=at_most + 1):
        raise ValidationError({"since": [f"The window may be at most {at_most} days long."]})
    return since, until, False


def last_days(days: int, until: datetime) -> tuple[datetime, datetime]:
    """Whole days in UTC up to that of `until`."""
    today = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days - 1), until


def number(request: Request, name: str, default: int, at_least: int, at_most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    # by its length first: Python refuses to read thousands of digits
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and at_least <= int(text) <= at_most):
        raise ValidationError({name: [f"Enter a whole number from {at_least:,} to {at_most:,}."]})
    return int(text)


def choice(request: Request, name: str, choices: Collection[str], default: str) -> str:
    """Returns the parameter, or the default where it is not there; empty text is a value like any other."""
    if name not in request.query_params:
        return default
    value = request.query_params[name]
    if value not in choices:
        raise ValidationError({name: [f"Choose from {', '.join(choices)}."]})
    return value
