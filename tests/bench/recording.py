"""What evaluating and recording one cluster costs: its first run, two without a change, and one with 1 % of its nodes changed.

The steps are those of services/collection.py, with the history that each run loads; the moments of samples move with the run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


def runs(kubeconfig: Path, *, telemetry: bool) -> dict[str, Any]:
    """Returns seconds of each step and rows written, by `first`, `unchanged` and `1pct`; `telemetry` adds every exporter."""
    from django.core.management import call_command

    from fleet.collectors.connections import list_connections
    from fleet.collectors.run import collect
    from fleet.collectors.sections import SECTIONS, TELEMETRY_SECTIONS
    from fleet.models import Cluster

    call_command("migrate", verbosity=0)
    Cluster.objects.filter(name="bench").delete()
    cluster = Cluster.objects.create(name="bench")
    (connection,) = list_connections(str(kubeconfig), (), in_cluster=False)
    sections = [name for name in SECTIONS if telemetry or name not in TELEMETRY_SECTIONS]
    figures: dict[str, Any] = {}
    with _timed(figures, "collect_whole_s"):
        collected = collect(connection, now=lambda: datetime.now(UTC), sections=sections, deadline_s=600)
    cases = {"first": collected, "unchanged": collected, "unchanged_again": collected, "1pct": _hundredth(collected)}
    for number, (case, answers) in enumerate(cases.items()):
        _run(cluster, _later(answers, timedelta(minutes=number)), case, figures)
    figures["evaluate_s"] = figures["evaluate_anew_unchanged_s"]
    Cluster.objects.filter(name="bench").delete()
    return figures


def _run(cluster: Any, collected: Any, case: str, figures: dict[str, Any]) -> None:
    from django.db import transaction

    from fleet.domain.evaluation.evaluate import evaluate
    from fleet.domain.health import model_servers, xids
    from fleet.models import CollectionRun
    from fleet.services import evaluation_history, kept_evaluations, last_known, recording

    run = CollectionRun.objects.create(cluster=cluster, trigger="bench", started_at=collected.taken_at)
    cluster.refresh_from_db()
    with _timed(figures, f"last_known_{case}_s"):
        snapshot = last_known.fill(cluster, collected)
    with _timed(figures, f"history_{case}_s"):
        loaded = evaluation_history.load_history(cluster, snapshot)
        snapshot, history = model_servers.watch(snapshot, loaded), xids.watch(snapshot, loaded)
    with _timed(figures, f"evaluate_{case}_s"):
        evaluation = evaluate(snapshot, history, kept_evaluations.of(cluster))
    with _timed(figures, f"evaluate_anew_{case}_s"):
        evaluate(snapshot, history)
    with _timed(figures, f"record_{case}_s"), transaction.atomic():
        recorded = recording.record(cluster, snapshot, history, evaluation)
        recording.record_reading(cluster, collected, run)
        figures[f"rows_{case}"] = _rows_written()
    figures[f"changes_{case}"] = recorded.changes


def _rows_written() -> int:
    """Rows that this transaction inserted, updated or deleted."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_user_tables")
        return int(cursor.fetchone()[0])


@contextmanager
def _timed(figures: dict[str, Any], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    figures[name] = round(time.perf_counter() - began, 3)


def _hundredth(collected: Any) -> Any:
    """The same answers with a label more on one node in a hundred."""
    from msgspec import structs

    nodes = tuple(
        structs.replace(node, labels={**node.labels, "bench": "changed"}) if number % 100 == 0 else node
        for number, node in enumerate(collected.nodes)
    )
    return structs.replace(collected, nodes=nodes)


def _later(collected: Any, by: timedelta) -> Any:
    """The same answers, read `by` later: the moments that exporters and model servers give move with the run."""
    from msgspec import structs

    def moved(items: Any) -> Any:
        names = [name for name in ("at", "ready_at", "served_at") if items and hasattr(items[0], name)]
        return tuple(
            structs.replace(item, **{name: at + by for name in names if (at := getattr(item, name)) is not None})
            for item in items
        )

    telemetry = structs.replace(
        collected.telemetry,
        samples=moved(collected.telemetry.samples),
        exporters=moved(collected.telemetry.exporters),
        servers=moved(collected.telemetry.servers),
    )
    return structs.replace(collected, taken_at=collected.taken_at + by, telemetry=telemetry)
