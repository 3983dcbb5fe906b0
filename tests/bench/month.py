"""Lives a month of the simulated fleet with scripted faults: is each noticed, how soon, and what is reported that is none?

`make month` (with `DAYS=3` for a look, another `SEED` for another fleet and script): prints figures, and writes
$MUSTER_HOME/bench/month.json after each day.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

QUIET = timedelta(minutes=12)
"""Less than the 15 minutes after which a cluster without a run turns unknown."""
AFTER = timedelta(minutes=12)
"""After a fault's end its node may be booting and its findings may have to last before they end."""
BAD = ("not_ready", "degraded", "unknown")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleet.config.settings")
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    from fleet.services import data_check, lived_history
    from fleet.simulator import script
    from fleet.simulator.fleet import build_fleet
    from fleet.simulator.server import serve

    days = int(os.environ.get("DAYS") or 30)
    fleet = build_fleet(clusters=1, nodes=12, pods_per_node=15, seed=int(os.environ.get("SEED") or 11))
    begins = fleet.clock()
    faults = script.write(fleet, days)
    player = script.Player(fleet, faults)
    place = settings.MUSTER_HOME / "bench"
    place.mkdir(parents=True, exist_ok=True)
    runs, took_s = 0, 0.0
    with tempfile.TemporaryDirectory() as folder, serve(fleet) as running:
        settings.MUSTER_KUBECONFIG, settings.IS_SIMULATED = str(running.kubeconfig(Path(folder) / "kubeconfig")), False
        for day in range(days):
            since, until = begins + timedelta(days=day), begins + timedelta(days=day + 1)
            moments = script.moments(faults, begins, until, QUIET)
            started = time.monotonic()
            # the day before included its last moment
            runs += lived_history.live(
                (lived_history.Moment(at, whole) for at, whole in moments if at > since or day == 0), player.move_to
            )
            took_s += time.monotonic() - started
            # after each day, so that a month that is interrupted has figures
            result = figures(faults, begins, until) | {"days": day + 1, "runs": runs, "run_s": round(took_s / runs, 3)}
            result["breaches"] = data_check.check(until)[:20]
            (place / "month.json").write_text(json.dumps(result, indent=2))
            sys.stderr.write(f"Day {day + 1} of {days}: {len(result['false'])} false, {len(result['missed'])} missed\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def figures(faults: list[Any], begins: datetime, ends: datetime) -> dict[str, Any]:
    """Compares the script up to a moment with what was recorded."""
    from fleet.models import FindingRow, Node, VerdictPeriod

    cards = sum(count or 0 for count in Node.objects.filter(removed_at=None).values_list("physical", flat=True))
    noticed: dict[str, list[float]] = defaultdict(list)
    missed = []
    for fault in (fault for fault in faults if fault.is_real and fault.over_at < ends):
        scope = {"node__name": fault.node, "node__cluster__name": fault.cluster}
        window = {"period__startswith__gte": fault.at, "period__startswith__lte": fault.over_at}
        bad = VerdictPeriod.objects.filter(verdict__in=BAD, **scope, **window)
        rows = [*bad, *FindingRow.objects.filter(severity__in=("critical", "fatal", "warning"), **scope, **window)]
        if rows:
            noticed[fault.kind].append(min((row.period.lower - fault.at).total_seconds() for row in rows))
        else:
            missed.append(f"{fault.kind} {fault.cluster}/{fault.node} {fault.at:%d %H:%M}")
    false = [*_false_stretches(faults, begins, ends), *_false_findings(faults, begins)]
    seconds = sorted(value for values in noticed.values() for value in values)
    length = (ends - begins) / timedelta(days=1)
    return {
        "gpus": cards,
        "faults": len(seconds) + len(missed),
        "harmless": sum(1 for fault in faults if not fault.is_real and fault.over_at < ends),
        "missed": missed,
        "p50_s": round(statistics.median(seconds), 1) if seconds else None,
        "p95_s": round(seconds[max(0, -(-95 * len(seconds) // 100) - 1)], 1) if seconds else None,
        "slowest_s": {kind: round(max(values), 1) for kind, values in noticed.items()},
        "false": false,
        "false_a_day_per_500": round(len(false) / length * 500 / cards, 3) if cards else None,
    }


def _false_stretches(faults: list[Any], begins: datetime, ends: datetime) -> Iterator[str]:
    """Yields each uninterrupted time in which a node was worse than ready, for longer than the grace, without a fault.

    What the fleet had at the first run is no incident of the script, however the reason changes later: a node without an
    exporter, say, is unknown for one reason after another, and never was ready.
    """
    from fleet.models import VerdictPeriod

    stretches: list[list[VerdictPeriod]] = []
    rows = VerdictPeriod.objects.filter(verdict__in=BAD).select_related("node__cluster").order_by("node", "period")
    for row in rows:
        last = stretches[-1][-1] if stretches else None
        if last is not None and last.node_id == row.node_id and last.period.upper == row.period.lower:
            stretches[-1].append(row)
        else:
            stretches.append([row])
    for stretch in stretches:
        first, until = stretch[0], stretch[-1].period.upper or ends
        since = first.period.lower
        if since == begins or until - since <= settings.INCIDENT_GRACE:
            continue
        if not _is_explained(faults, first.node.cluster.name, first.node.name, since):
            what = f"{first.node} {first.verdict} {first.broken_rung} for {(until - since) / timedelta(minutes=1):.0f} min"
            yield f"{what} at {since:%d %H:%M:%S}: {first.reason[:120]}"


def _false_findings(faults: list[Any], begins: datetime) -> Iterator[str]:
    """Yields each critical finding without a fault."""
    from fleet.models import FindingRow

    rows = FindingRow.objects.filter(severity__in=("critical", "fatal"), period__startswith__gt=begins)
    for row in rows.select_related("node__cluster", "cluster").order_by("pk"):
        node = row.node.name if row.node else ""
        if not _is_explained(faults, row.cluster.name if row.cluster else "", node, row.period.lower):
            yield f"{node or row.cluster} {row.rule} at {row.period.lower:%d %H:%M:%S}: {row.text[:120]}"


def _is_explained(faults: list[Any], cluster: str, node: str, since: datetime) -> bool:
    return any(
        fault.is_real and (fault.cluster, fault.node) == (cluster, node) and fault.at <= since <= fault.over_at + AFTER
        for fault in faults
    )


if __name__ == "__main__":
    main()
