"""`manage.py demo`: kept alive by `manage.py run` beside a simulated fleet. Creates people and pools, and replays a month."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from fleet.selectors.muster import demo as selectors
from fleet.services import lived_history
from fleet.services.demo import content, links, past
from fleet.services.demo.progress import note
from fleet.simulator import kubeconfig, month, script
from fleet.simulator.fleet import Fleet
from fleet.simulator.live import Life
from fleet.simulator.server import serve

log = logging.getLogger(__name__)
QUIET = timedelta(hours=3)
"""Between two runs while nothing happens: unchanged state is recorded once, however often it is read."""
_UNREAD = timedelta(hours=4)
"""How long verdicts stay known between two such runs."""
_NICE = 10


class Command(BaseCommand):
    help = "Creates the demonstration of `manage.py run` and serves its cluster: a month of history is replayed once, and kept."
    requires_system_checks: list[str] = []

    def handle(self, *_: Any, **__: Any) -> None:
        if not settings.DEMO:
            raise CommandError("There is no demonstration: MUSTER_KUBECONFIG names clusters, or MUSTER_DEMO is no.")
        wanted = kubeconfig.ports(selectors.kubeconfig())
        selectors.kubeconfig().unlink(missing_ok=True)  # that of an earlier start names a closed port
        is_lived = selectors.is_lived()
        kept = selectors.read() if is_lived else _begin()
        begins, ends = _month(kept) if is_lived else _new_month()
        fleet = month.build(begins)
        with serve(fleet, wanted_ports=wanted) as running:
            player = script.Player(fleet, month.faults(fleet, ends))
            if is_lived:
                player.move_to(timezone.now())
            else:
                note(state="living", begins=begins.isoformat(), ends=ends.isoformat(), lived_until=begins.isoformat())
                running.kubeconfig(selectors.state_file().with_name("month.kubeconfig"), tls=False)
                self._live(fleet, player, begins, ends)
            fleet.clock.runs = True
            running.kubeconfig(selectors.kubeconfig())
            if not is_lived:
                note(state="done", links=links.things_to_see())
                past.forget()
            with Life(fleet):
                threading.Event().wait()

    def _live(self, fleet: Fleet, player: script.Player, begins: datetime, ends: datetime) -> None:
        try:
            live_apart(fleet, player, begins, ends)
        except psycopg.errors.InsufficientPrivilege:
            reason = "the database role may not create a database"
            note(state="failed", reason=reason)
            raise CommandError(f"The month was not replayed: {reason}.") from None
        note(lived_until=ends.isoformat())
        self.stdout.write(f"A month of {month.NAME} was replayed, until {ends:%d %b %H:%M} UTC.")


def live_apart(fleet: Fleet, player: script.Player, begins: datetime, ends: datetime) -> None:
    """Replays the month in a separate database, up to this moment, and copies the recorded rows."""
    usual = {name: getattr(settings, name) for name in ("STALE_AFTER", "MUSTER_KUBECONFIG", "IS_SIMULATED", "DEMO")}
    cluster = fleet[month.NAME]
    was_out_of_reach = False

    def move_to(at: datetime) -> None:
        nonlocal was_out_of_reach
        player.move_to(at)
        is_out_of_reach = bool(cluster.faults.unreachable)
        # A cluster that was not collected for three hours is known; one that did not answer is not.
        settings.STALE_AFTER = usual["STALE_AFTER"] if is_out_of_reach or was_out_of_reach else _UNREAD
        was_out_of_reach = is_out_of_reach
        note(lived_until=at.isoformat())

    moments = script.moments(month.faults(fleet, ends), begins, ends, QUIET)
    settings.MUSTER_KUBECONFIG = str(selectors.state_file().with_name("month.kubeconfig"))
    settings.IS_SIMULATED = settings.DEMO = False
    try:
        with past.lived_apart(month.NAME):
            lived_history.live((lived_history.Moment(*moment) for moment in moments), move_to)
            while datetime.now(UTC) - fleet.clock() > timedelta(minutes=1):
                lived_history.live([lived_history.Moment(datetime.now(UTC).replace(microsecond=0))], move_to)
    finally:
        for name, value in usual.items():
            setattr(settings, name, value)
    past.bring_over()


def _begin() -> dict[str, Any]:
    """Creates the content once, and lowers its priority: pages come first."""
    with suppress(OSError):
        os.nice(_NICE)
    kept = selectors.read()
    if kept.get("content"):
        return kept
    content.make(timezone.now())
    return note(content=True, links=links.things_to_see())


def _new_month() -> tuple[datetime, datetime]:
    ends = timezone.now().replace(second=0, microsecond=0)
    return ends - timedelta(days=month.DAYS), ends


def _month(kept: dict[str, Any]) -> tuple[datetime, datetime]:
    begins, ends = parse_datetime(str(kept.get("begins"))), parse_datetime(str(kept.get("ends")))
    if begins is None or ends is None:
        raise CommandError(f"{selectors.state_file()} names no month: remove the file, and the month is replayed.")
    return begins, ends
