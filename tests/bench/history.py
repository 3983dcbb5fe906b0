"""A year of history of a large fleet: how long the database takes for what the pages and the API ask of it.

    manage.py bench history [--nodes 2000] [--days 365] [--changes 20] [--part small|large] [--keep]

Twice over: an eighth of the fleet with every constraint in place, and what a change of verdict costs there; then the whole
fleet without the constraint that forbids verdict periods to overlap, because building it over so many rows at once takes
longer than all the rest. The rows are made in the database itself; the questions are those of fleet/selectors, caught and
asked again with EXPLAIN.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
PRODUCTS = ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H200", "NVIDIA-A100-SXM4-80GB", "NVIDIA-L40S")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench history")
    parser.add_argument("--nodes", type=int, default=2_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--changes", type=int, default=20, help="changes of verdict of each node on each day")
    parser.add_argument("--part", choices=["small", "large"], help="only the eighth, or only the whole")
    parser.add_argument("--keep", action="store_true", help="ask again of what an earlier run made in the same database")
    options = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleet.config.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    folder = Path(os.environ.get("MUSTER_HOME") or ROOT / "var") / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"small": max(8, options.nodes // 8), "large": options.nodes}
    figures: dict[str, dict[str, Any]] = {}
    for name, nodes in parts.items():
        if options.part not in (None, name):
            continue
        part: dict[str, Any] = {"nodes": nodes, "days": options.days, "changes": options.changes, "constraint": name == "small"}
        if not options.keep:
            empty()
            part |= make(nodes, options.days, options.changes, constrained=name == "small")
        figures[name] = part | ask()
        for key, value in figures[name].items():
            sys.stdout.write(f"{name:<6} {key:<28} {value}\n")
        sys.stdout.flush()
        (folder / "history.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def empty() -> None:
    """Away with what an earlier part made, and every constraint and index back in its place."""
    from django.db import connection

    from fleet.models import Cluster, FleetDay, GpuHour, NodeDay, Pool, VerdictPeriod

    tables = ", ".join(model._meta.db_table for model in (Cluster, Pool, FleetDay, GpuHour, NodeDay))
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables} CASCADE")
        known = connection.introspection.get_constraints(cursor, VerdictPeriod._meta.db_table)
    with connection.schema_editor() as editor:
        for part in _parts():
            if part.name not in known:
                _add(editor, part)


def _parts() -> list[Any]:
    from fleet.models import VerdictPeriod

    return [*VerdictPeriod._meta.constraints, *VerdictPeriod._meta.indexes]


def _add(editor: Any, part: Any) -> None:
    from fleet.models import VerdictPeriod

    (editor.add_constraint if part in VerdictPeriod._meta.constraints else editor.add_index)(VerdictPeriod, part)


def _remove(editor: Any, part: Any) -> None:
    from fleet.models import VerdictPeriod

    (editor.remove_constraint if part in VerdictPeriod._meta.constraints else editor.remove_index)(VerdictPeriod, part)


def make(nodes: int, days: int, changes: int, *, constrained: bool) -> dict[str, Any]:
    """Clusters, nodes, pools, verdict periods, revisions and days. With constraints everything is in place from the first
    row on; without, indexes are made last, as a restore would."""
    from django.db import connection

    from fleet.models import Cluster, NodeRevision, VerdictPeriod
    from fleet.services import rollups

    for name in ("east", "north", "west"):
        Cluster.objects.create(name=name, read_at=NOW, taken_at=NOW, outcome="ok")
    took: dict[str, Any] = {}
    first, table = NOW - timedelta(days=days), VerdictPeriod._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_NODES, {"nodes": nodes, "first": first, "products": list(PRODUCTS)})
        cursor.execute(_MAKE_POOLS, {"first": first})
        cursor.execute(_MAKE_MEMBERS, {"first": first})
        if not constrained:
            with connection.schema_editor() as editor:
                for part in _parts():
                    _remove(editor, part)
        count, per_step = days * changes, max(1, 10_000 // nodes)
        arguments = {"first": first, "step": timedelta(days=1) / changes}
        by_change = 5 * per_step if constrained else 0
        with _timed(took, "insert_s"):
            cursor.execute(_MAKE_PERIODS.format(table=table), {**arguments, "count": count - by_change})
        took["verdict_periods"] = cursor.rowcount
        if constrained:
            took |= _changing(table, count - by_change, per_step, nodes, arguments)
        cursor.execute("SET maintenance_work_mem = '2GB'")
        if not constrained:
            with _timed(took, "index_s"), connection.schema_editor() as editor:
                for part in VerdictPeriod._meta.indexes:
                    _add(editor, part)
        cursor.execute(_MAKE_REVISIONS.format(table=NodeRevision._meta.db_table), {"first": first, "days": days})
        took["revisions"] = cursor.rowcount
        cursor.execute("VACUUM ANALYZE")
        with _timed(took, "rebuild_days_s"):
            rebuilt = sum(1 for _ in rollups.rebuild(first.date(), NOW))
        took["rebuild_one_day_ms"] = round(1000 * took["rebuild_days_s"] / rebuilt)
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SELECT pg_table_size(%s) / 1048576, pg_indexes_size(%s) / 1048576", [table] * 2)
        took["periods_mib"], took["period_indexes_mib"] = (int(size) for size in cursor.fetchone())
    return took


def _changing(table: str, number: int, per_step: int, nodes: int, arguments: dict[str, Any]) -> dict[str, Any]:
    """What 10,000 changes of verdict cost at the end of so many rows: each ends a period and begins another, as a run does.
    Five times over; before that the same without the constraint, and undone."""
    from django.db import connection, transaction

    from fleet.models import VerdictPeriod

    def changed(batch: int) -> float:
        began = time.perf_counter()
        for step in range(number + batch * per_step, number + (batch + 1) * per_step):
            cursor.execute(_CLOSE.format(table=table), {**arguments, "i": step})
            cursor.execute(_OPEN.format(table=table), {**arguments, "i": step})
        return 1000 * (time.perf_counter() - began) * 10_000 / (per_step * nodes)

    figures: dict[str, Any] = {}
    (overlap,) = [constraint for constraint in VerdictPeriod._meta.constraints if "overlap" in constraint.name]
    with connection.cursor() as cursor:
        with transaction.atomic():
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {overlap.name}")
            figures["10k_changes_without_ms"] = round(statistics.median(changed(batch) for batch in range(5)))
            transaction.set_rollback(True)
        cursor.execute(f"VACUUM ANALYZE {table}")
        figures["10k_changes_ms"] = round(statistics.median(changed(batch) for batch in range(5)))
    return figures


@contextmanager
def _timed(took: dict[str, Any], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took[name] = round(time.perf_counter() - began, 1)
    sys.stderr.write(f"{name} {took[name]}\n")


# Most of the time ready; every node has its own rhythm of faults, and now and then a cluster is not read.
_MAKE_NODES = """
    INSERT INTO fleet_node (cluster_id, name, uid, machine_type, zone, vendor, product, family, driver_version, cuda_version,
        kubelet_version, physical, physical_source, expected, partitioning, sharing, mode, isolation, mig_desired, mig_state,
        state, advertised, reason, severity, schedulable, labels, taints, conditions, info, stack, snapshot, dra, verdict,
        broken_rung, verdict_reason, verdict_remedy, reached, flapping, rungs, pending, boot_id, known_uuids, fingerprint,
        pods_fingerprint, first_seen_at, changed_at, state_since, bootstrapping, kubelet_ready_at, gpu_ready_at)
    SELECT (SELECT id FROM fleet_cluster ORDER BY id OFFSET i %% 3 LIMIT 1), 'gpu-' || i, 'uid-' || i, 'type-' || i %% 4,
        'zone-' || i %% 3, 'nvidia', (%(products)s::text[])[1 + i %% 4], 'hopper', '580.95.05', '13.0', 'v1.36.2', 8, 'label', 8,
        'none', 'exclusive', 'Full GPU', '', '', '', 'full', 'full', '', '', true, '{}', '[]', '[]', '{}', '{}', '{}', '{}',
        'ready', '', '', '', 7, false, '[]', '{}', '', '[]', 'f' || i, '', %(first)s, %(first)s, %(first)s, false,
        %(first)s, %(first)s + interval '4 minutes' + i %% 9 * interval '40 seconds'
    FROM generate_series(1, %(nodes)s) AS i
"""
_MAKE_PERIODS = """
    INSERT INTO {table} (node_id, period, verdict, broken_rung, reason, remedy, usable, expected)
    SELECT node.id,
        tstzrange(%(first)s + i * %(step)s + node.id %% 60 * interval '1 second',
            CASE WHEN i < %(count)s - 1 THEN %(first)s + (i + 1) * %(step)s + node.id %% 60 * interval '1 second' END),
        made.verdict, CASE WHEN made.verdict = 'not_ready' THEN 'cuda_works' ELSE '' END,
        CASE WHEN made.verdict = 'ready' THEN '' ELSE 'The validator of CUDA fails on this node.' END, '',
        CASE WHEN made.verdict = 'ready' THEN 8 ELSE 0 END, 8
    FROM generate_series(0, %(count)s - 1) AS i CROSS JOIN fleet_node AS node
    CROSS JOIN LATERAL (SELECT CASE WHEN (i * 7 + node.id * 13) %% 97 = 0 THEN 'not_ready'
        WHEN (i * 5 + node.id) %% 211 = 0 THEN 'unknown' WHEN (i + node.id) %% 307 = 0 THEN 'excluded'
        WHEN i %% 2 = 0 THEN 'ready' ELSE 'degraded' END AS verdict) AS made
    ORDER BY i, node.id
"""
_CLOSE = """
    UPDATE {table} SET period = tstzrange(lower(period), %(first)s + %(i)s * %(step)s + node_id %% 60 * interval '1 second')
    WHERE upper(period) IS NULL AND node_id IN (SELECT id FROM fleet_node)
"""
_OPEN = """
    INSERT INTO {table} (node_id, period, verdict, broken_rung, reason, remedy, usable, expected)
    SELECT id, tstzrange(%(first)s + %(i)s * %(step)s + id %% 60 * interval '1 second', NULL),
        CASE WHEN %(i)s %% 2 = 0 THEN 'ready' ELSE 'degraded' END, '', '', '', 8, 8 FROM fleet_node
"""
# Six pools over the nodes; a tenth of the nodes moved to another in the middle of the year.
_MAKE_POOLS = """
    INSERT INTO fleet_pool (slug, title, purpose, owner, spec, managed_by, created_at, updated_at)
    SELECT 'pool-' || i, '', '', '', '{}', '', %(first)s, %(first)s FROM generate_series(0, 5) AS i
"""
_MAKE_MEMBERS = """
    INSERT INTO fleet_poolmembership (pool_id, node_id, period)
    SELECT pool.id, node.id, made.period FROM fleet_node AS node CROSS JOIN LATERAL (
        SELECT node.id %% 6 AS place,
            tstzrange(%(first)s, CASE WHEN node.id %% 10 = 0 THEN %(first)s + interval '180 days' END) AS period
        UNION ALL SELECT (node.id + 1) %% 6, tstzrange(%(first)s + interval '180 days', NULL) WHERE node.id %% 10 = 0
    ) AS made JOIN fleet_pool AS pool ON pool.slug = 'pool-' || made.place
"""
_MAKE_REVISIONS = """
    INSERT INTO {table} (node_id, period, facts, changes)
    SELECT node.id, tstzrange(%(first)s + i * interval '1 day',
            CASE WHEN i < %(days)s - 1 THEN %(first)s + (i + 1) * interval '1 day' END),
        jsonb_build_object('labels', jsonb_build_object('nvidia.com/gpu.product', node.product, 'nvidia.com/gpu.count', '8',
            'nvidia.com/gpu.replicas', '1', 'nvidia.com/gpu.memory', '81559', 'day', i::text),
            'capacity', '{{"nvidia.com/gpu": "8"}}'::jsonb, 'allocatable', '{{"nvidia.com/gpu": "8"}}'::jsonb),
        jsonb_build_array(jsonb_build_object('section', 'labels', 'key', 'day', 'before', (i - 1)::text, 'after', i::text))
    FROM generate_series(0, %(days)s - 1) AS i CROSS JOIN fleet_node AS node ORDER BY i, node.id
"""


def ask() -> dict[str, Any]:
    """The questions of pages and API: database time in ms (planning and execution, median of five) and the plans."""
    from fleet.models import Node
    from fleet.selectors import figures
    from fleet.selectors.history import availability, changes
    from fleet.selectors.history import node_history as history
    from fleet.selectors.history import usable as usable_history

    node = Node.objects.select_related("cluster").order_by("pk")[Node.objects.count() // 2]
    midnight = NOW.replace(hour=0, minute=0)
    window, year = (midnight - timedelta(days=29), NOW), (midnight - timedelta(days=364), NOW)
    questions: dict[str, Callable[[], Any]] = {
        "heat_map_30d_ms": lambda: availability.heat_map("cluster", *window),
        "heat_map_product_30d_ms": lambda: availability.heat_map("product", *window),
        "heat_map_product_90d_ms": lambda: availability.heat_map("product", midnight - timedelta(days=89), NOW),
        "heat_map_pool_30d_ms": lambda: availability.heat_map("pool", *window),
        "heat_map_365d_ms": lambda: availability.heat_map("cluster", *year),
        "heat_map_pool_365d_ms": lambda: availability.heat_map("pool", *year),
        "availability_30d_ms": lambda: availability.availability("product", *window),
        "availability_exact_30d_ms": lambda: availability.availability("product", NOW - timedelta(days=30), NOW, now=NOW),
        "availability_365d_ms": lambda: availability.availability("product", *year),
        "worst_nodes_30d_ms": lambda: availability.worst_nodes(*window),
        "worst_nodes_90d_ms": lambda: availability.worst_nodes(midnight - timedelta(days=89), NOW),
        "worst_nodes_365d_ms": lambda: availability.worst_nodes(*year),
        "usable_line_30d_ms": lambda: usable_history.usable_line(*window),
        "node_at_ms": lambda: history.node_at(node.cluster.name, node.name, NOW - timedelta(days=180)),
        "node_timeline_1d_ms": lambda: history.node_timeline(node, NOW - timedelta(days=181), NOW - timedelta(days=180)),
        "fleet_at_ms": lambda: figures.summary_at(Node.objects.all(), NOW - timedelta(days=180)),
        "change_log_30d_ms": lambda: changes.change_log(*window),
    }
    return {name: _database_ms(name, question) for name, question in questions.items()}


def _database_ms(name: str, question: Callable[[], Any]) -> float:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as caught:
        question()
    total, plans = 0.0, []
    with connection.cursor() as cursor:
        for query in caught.captured_queries:
            times = []
            for _ in range(5):
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, SUMMARY) " + query["sql"].replace("%", "%%"), ())
                lines = [line for (line,) in cursor.fetchall()]
                times.append(
                    sum(float(line.split()[2]) for line in lines if line.startswith(("Planning Time", "Execution Time")))
                )
            total += statistics.median(times)
            plans.append("\n".join(lines))
    if name in ("heat_map_365d_ms", "worst_nodes_30d_ms", "node_at_ms", "fleet_at_ms"):
        sys.stdout.write(f"--- {name}\n" + "\n\n".join(plans) + "\n\n")
    return round(total, 1)
