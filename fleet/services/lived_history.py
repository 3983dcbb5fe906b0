"""Replays a history faster than real time: the usual collection, evaluation and recording, at moments that a script names.

For a past that really happened to Muster: to measure how faults are noticed, or to demonstrate. The world that is
collected (a simulated fleet) is moved by the caller; here only Muster does what its beat and workers would have done by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime

from fleet.models import Cluster
from fleet.services import clock, compliance, rollups, staleness
from fleet.services.clusters import register_clusters
from fleet.services.collection import collect_cluster
from fleet.services.collection_runs import TELEMETRY


@dataclass(frozen=True)
class Moment:
    """Moment of a run, and whether it is a full run or a scrape of exporters and model servers only."""

    at: datetime
    is_whole: bool = True


def live(moments: Iterable[Moment], move_to: Callable[[datetime], None]) -> int:
    """Collects every configured cluster at each moment, in their order, and returns how many runs there were.

    `move_to` is called before each: the world becomes what it was then. Verdicts of clusters that cannot be read turn unknown in
    time; pools and classes are evaluated with each whole run, and days are summed up when they end and at last.
    """
    runs, day, last = 0, date.min, None
    names = [cluster.name for cluster in register_clusters()]
    for moment in moments:
        move_to(moment.at)
        runs += _look(names, moment)
        if moment.at.date() != day:
            rollups.refresh(moment.at)
            day = moment.at.date()
        last = moment.at
    if last is not None:
        rollups.refresh(last)
    return runs


def _look(names: list[str], moment: Moment) -> int:
    trigger = "schedule" if moment.is_whole else TELEMETRY
    with clock.running(lambda: moment.at):
        staleness.sweep(moment.at)
        for cluster in Cluster.objects.filter(name__in=names, removed_at__isnull=True):
            collect_cluster(cluster, trigger=trigger)
        if moment.is_whole:
            compliance.evaluate(moment.at)
    return len(names)
