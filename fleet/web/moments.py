"""Moments in a page's address: `?at=`, and the two of a comparison."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.http import HttpRequest
from django.utils.dateparse import parse_datetime

_SLACK = timedelta(seconds=5)
"""Clocks differ a little."""


def moment_of(text: str) -> datetime | None:
    """A moment as people and fields write it; without a zone it is UTC. None where it cannot be read."""
    # a plus sign in an address means a space
    try:
        found = parse_datetime(text.strip().replace(" 0", "+0") if text.count(" ") == 1 and "T" in text else text.strip())
    except ValueError:
        return None
    if found is None:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def asked(request: HttpRequest, name: str, now: datetime) -> tuple[datetime | None, str]:
    """The moment a parameter names, and a sentence where it names none; (None, "") where it is not there."""
    text = request.GET.get(name, "")
    if not text:
        return None, ""
    at = moment_of(text)
    if at is None:
        return None, f"“{text[:40]}” is no moment: write it as 2026-11-22T21:40, in UTC. What stands here is live."
    if at > now + _SLACK:
        return None, "That moment has not come yet. What stands here is live."
    return at, ""
