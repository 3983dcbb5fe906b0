"""Shared by waivers, maintenance and declared counts: the required reason."""

from __future__ import annotations

from fleet.domain.refusals import FieldError

LONGEST_REASON = 500


def checked_reason(reason: str) -> str:
    """The reason without the space around it. Raises FieldError where there is none, or too much of it."""
    reason = reason.strip()
    if not reason:
        raise FieldError("reason", "A reason is required.")
    if len(reason) > LONGEST_REASON:
        raise FieldError("reason", f"A reason has at most {LONGEST_REASON} characters.")
    return reason
