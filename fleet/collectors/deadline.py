"""Remaining time of one run: every time-out of a run is taken from this one budget."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """A point in (monotonic) time, so that no sum of small time-outs exceeds the time of the run."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._ends_at = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._ends_at - self._clock())

    @property
    def spent(self) -> bool:
        return self.remaining() <= 0.0

    def at_most(self, seconds: float) -> float:
        """The given time-out, or less where less is left; never 0, which sockets would read as "do not block"."""
        return max(0.05, min(seconds, self.remaining()))
