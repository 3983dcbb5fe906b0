"""Moments in a page's address: `?at=`, and the two of a comparison."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.http import HttpRequest
from django.utils.dateparse import parse_datetime

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_SLACK = timedelta(seconds=5)
"""Clocks differ a little."""


def moment_of(text: str) -> datetime | None:
    """A moment as people and fields write it; without a zone it is UTC. None where it cannot be read."""
    # a plus sign in an address means a space
    try:
        result = parse_datetime(text.strip().replace(" 0", "+0") if text.count(" ") == 1 and "T" in text else text.strip())
        if result is None:
            return None
        at = (result if result.tzinfo else result.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # a moment of year 1 or 9999 may have no equivalent in UTC
        return None
    return at if at >= _EARLIEST else None


def asked(request: HttpRequest, name: str, now: datetime) -> tuple[datetime | None, str]:
    """The moment a parameter names, and a sentence where it names none; (None, "") where it is not there."""
    text = request.GET.get(name, "")
    if not text:
        return None, ""
    at = moment_of(text)
    if at is None:
        return None, f"“{text[:40]}” is not a date and time such as 2026-11-22T21:40 (UTC). Showing live data."
    if at > now + _SLACK:
        return None, "That moment is in the future. Showing live data."
    return at, ""
