"""The invariants hold after real runs over the simulated fleet, and each of them can fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone

from fleet.models import CollectionRun, DataCheck, Node, NodeDay, NodeResource, Pod, RungPeriod, VerdictPeriod
from fleet.selectors.muster.invariants import breaches
from fleet.services import data_check
from fleet.services.clusters import register_clusters
from fleet.services.collection import collect_cluster
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleet(tmp_path: Path, settings: Any) -> None:
    """Three clusters with every sharing mode and several faults, read twice."""
    with serve(build_fleet(nodes=24, pods_per_node=8, seed=3)) as running:
        django_settings.MUSTER_KUBECONFIG = str(running.kubeconfig(tmp_path / "kubeconfig"))
        django_settings.IS_SIMULATED = False
        for _ in range(2):
            for cluster in register_clusters():
                collect_cluster(cluster, trigger="cli")


def found_breaches() -> list[str]:
    return list(breaches(timezone.now()))


def a_ready_node() -> Node:
    return Node.objects.filter(verdict="ready", removed_at__isnull=True).order_by("pk")[0]


def drop_constraint(name: str, table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else the table has events that wait
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def overlap() -> None:
    drop_constraint("verdict_periods_do_not_overlap", "fleet_verdictperiod")
    period = VerdictPeriod.objects.filter(node=a_ready_node()).latest("period")
    began = period.period.lower - timedelta(hours=2)
    VerdictPeriod.objects.create(node=period.node, verdict="ready", period=DateTimeTZRange(began, timezone.now()))


def gap() -> None:
    period = VerdictPeriod.objects.filter(node=a_ready_node()).latest("period")
    middle = period.period.lower
    VerdictPeriod.objects.filter(pk=period.pk).update(period=DateTimeTZRange(middle, middle + timedelta(milliseconds=1)))
    period.pk, period.period = None, DateTimeTZRange(middle + timedelta(milliseconds=5), None)
    period.save(force_insert=True)


def no_current() -> None:
    VerdictPeriod.objects.filter(node=a_ready_node()).delete()


def removed_with_rungs() -> None:
    Node.objects.filter(pk=a_ready_node().pk).update(removed_at=timezone.now())


def other_verdict() -> None:
    Node.objects.filter(pk=a_ready_node().pk).update(verdict="degraded")


def other_figure() -> None:
    Node.objects.filter(pk=a_ready_node().pk).update(physical=99)


def other_rung() -> None:
    RungPeriod.objects.filter(node=a_ready_node(), rung="cuda_works").update(status="warn")


def ready_without_evidence() -> None:
    node = a_ready_node()
    rungs = [rung | ({"status": "unknown"} if rung["id"] == "cuda_works" else {}) for rung in node.rungs]
    Node.objects.filter(pk=node.pk).update(rungs=rungs)
    RungPeriod.objects.filter(node=node, rung="cuda_works").update(status="unknown")


def held_slots() -> None:
    node_id = NodeResource.objects.filter(requested__gt=0).exclude(kind__startswith="dra").values_list("node_id", flat=True)[0]
    Pod.objects.filter(node_id=node_id, holds=True, slots__gt=0).update(holds=False)


def free_slots() -> None:
    pk = NodeResource.objects.filter(free__isnull=False).exclude(kind__startswith="dra").values_list("pk", flat=True)[0]
    NodeResource.objects.filter(pk=pk).update(free=77)


def future() -> None:
    period = VerdictPeriod.objects.filter(node=a_ready_node()).latest("period")
    VerdictPeriod.objects.filter(pk=period.pk).update(period=DateTimeTZRange(timezone.now() + timedelta(hours=2), None))


def long_day() -> None:
    node = a_ready_node()
    NodeDay.objects.create(node=node, cluster_id=node.cluster_id, day=timezone.now().date(), ready_s=86_000, unknown_s=401)


def endless_run() -> None:
    cluster = a_ready_node().cluster
    CollectionRun.objects.create(cluster=cluster, trigger="cli", started_at=timezone.now() - timedelta(minutes=11))


BROKEN: dict[Callable[[], None], str] = {
    overlap: "before the one before it ended",
    gap: "has no verdict from",
    no_current: "has 0 current verdict periods",
    removed_with_rungs: "current rung periods and was removed",
    other_verdict: "verdict is 'degraded' in its row and 'ready' in its current period",
    other_figure: "physical is 99 in its row",
    other_rung: "rung cuda_works is pass in its row and warn in its current period",
    ready_without_evidence: "is ready although rung cuda_works is unknown",
    held_slots: "are requested and its pods hold",
    free_slots: "are 77, not allocatable − requested",
    future: "1 verdict periods begin in the future",
    long_day: "add up to 86,401 s",
    endless_run: "has been running since",
}


def test_nothing_is_broken_by_real_runs_and_every_invariant_can_break(fleet: None, django_assert_max_num_queries: Any) -> None:
    from django.db import transaction

    assert Node.objects.count() > 20
    with django_assert_max_num_queries(30):
        assert found_breaches() == []
    for break_it, words in BROKEN.items():
        with transaction.atomic():
            break_it()
            assert any(words in breach for breach in found_breaches()), break_it.__name__
            transaction.set_rollback(True)
    assert found_breaches() == []


@pytest.mark.django_db(transaction=True)
def test_the_command_prints_a_line_per_breach_and_exits_1_and_the_result_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.factories import a_cluster

    monkeypatch.setattr("fleet.management.commands.check_data.running_database", nullcontext)
    call_command("check_data")
    assert capsys.readouterr().out.strip() == "No breaches."
    run = CollectionRun.objects.create(cluster=a_cluster(), trigger="cli", started_at=timezone.now() - timedelta(minutes=11))
    with pytest.raises(SystemExit) as stopped:
        call_command("check_data")
    assert stopped.value.code == 1
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert line.startswith(f"run {run.pk} of cluster east has been running since")
    kept = DataCheck.objects.get()
    assert (kept.count, kept.breaches) == (1, [line])
    data_check.check(timezone.now() - timedelta(minutes=5))
    assert DataCheck.objects.get().count == 0
