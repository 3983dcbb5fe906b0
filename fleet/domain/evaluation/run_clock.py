"""The moment of a run as rungs and rules ask for it, and for how long their answers hold."""

from __future__ import annotations

from datetime import datetime, timedelta

_NONE = timedelta()


class RunClock:
    """Answers what time decides of one node, and keeps the shortest time for which every answer stays the same.

    An evaluation depends on time through this clock alone: as long as each of its answers is the same, so is the result. A rule
    that reads the moment itself gets an answer that holds for no other run.
    """

    __slots__ = ("_holds_for", "_now")

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._holds_for: timedelta | None = None

    @property
    def holds_for(self) -> timedelta | None:
        """Returns how much later than its moment every answer so far is still the same; None without end.

        The end itself is not included: zero for answers that hold at this moment only.
        """
        return self._holds_for

    def now(self) -> datetime:
        """Returns the moment of the run. The evaluation then holds for this run only."""
        self._holds_for = _NONE
        return self._now

    def is_past(self, at: datetime, limit: timedelta = _NONE) -> bool:
        """Returns whether more than `limit` has passed since `at`. A negative limit asks before `at`."""
        left = limit - (self._now - at)
        self._ends_in(left)
        return left < _NONE

    def has_reached(self, at: datetime, limit: timedelta = _NONE) -> bool:
        """Returns whether at least `limit` has passed since `at`."""
        left = limit - (self._now - at)
        self._ends_in(left)
        return left <= _NONE

    def whole_days(self, at: datetime) -> int:
        """Returns the whole days since `at`."""
        age = self._now - at
        self._ends_in(timedelta(days=age.days + 1) - age)
        return age.days

    def _ends_in(self, left: timedelta) -> None:
        """Keeps the end of an answer that changes in `left`; one that has changed already does not change back.

        An answer that changes right after this moment (`left` is zero) holds for no later run.
        """
        if left >= _NONE and (self._holds_for is None or left < self._holds_for):
            self._holds_for = left
