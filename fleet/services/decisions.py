"""What waivers, maintenance and declared counts have in common: a reason that has to be there, and a refusal in words."""

from __future__ import annotations

LONGEST_REASON = 500


class DecisionError(ValueError):
    """What is asked cannot be decided so; `field` names the one that is wrong, the text says why."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def checked_reason(reason: str) -> str:
    """The reason without the space around it. Raises DecisionError where there is none, or too much of it."""
    reason = reason.strip()
    if not reason:
        raise DecisionError("reason", "Say why: whoever finds it will ask.")
    if len(reason) > LONGEST_REASON:
        raise DecisionError("reason", f"A reason has {LONGEST_REASON} characters at most.")
    return reason
