"""Beat's schedule, with a heartbeat; last-run times in the future are ignored."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery.beat import PersistentScheduler

from fleet.config import heartbeat

log = logging.getLogger(__name__)

_AHEAD = timedelta(seconds=5)


class Scheduler(PersistentScheduler):
    """Touches the heartbeat at each tick. Entries with a last run in the future, by a clock that was ahead, are due now."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Sends due entries and returns the seconds until the next one."""
        heartbeat.touch()
        self.forget_future()
        return float(super().tick(*args, **kwargs))

    def forget_future(self) -> None:
        """Without this, a clock that was set back by two hours would stop every task for two hours."""
        for name, entry in self.schedule.items():
            now = entry.default_now()
            if entry.last_run_at is not None and entry.last_run_at - now > _AHEAD:
                log.warning("The clock was set back: %s last ran at %s; it is due now.", name, entry.last_run_at)
                entry.last_run_at = now - timedelta(days=1)
                self._heap = None
