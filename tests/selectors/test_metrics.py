"""/metrics and /readyz: what they contain with and without a token, and what they cost."""

from __future__ import annotations

import io
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from fleet.models import Exporter, Silence
from tests.factories import (
    NOON,
    a_cluster,
    a_critical_finding,
    a_delivery,
    a_node,
    a_notice,
    a_resource,
    a_rule,
    a_run,
    a_target,
    scraper,
)

pytestmark = pytest.mark.django_db
H100 = "NVIDIA-H100-80GB-HBM3"


def scrape(client: Any, **headers: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Family to label values (in the order of their names) to value."""
    answer = client.get("/metrics", headers=headers or scraper())
    assert answer.status_code == 200
    result: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            result.setdefault(sample.name, {})[labels] = sample.value
    return result


def test_verdicts_with_their_zeros(client: Any) -> None:
    for verdict in ("ready", "ready", "not_ready"):
        a_node(verdict=verdict)
    a_node(removed_at=NOON)
    nodes = scrape(client)["muster_nodes"]
    assert nodes["east", "", H100, "ready"] == 2
    assert nodes["east", "", H100, "not_ready"] == 1
    assert nodes["east", "", H100, "unknown"] == 0
    assert len(nodes) == 6


def test_uncounted_values_have_no_sample(client: Any) -> None:
    a_node(product="A", physical=None, expected=None, usable=None, advertised_gpus=None)
    a_node(product="B", physical=8, expected=8, usable=0)
    result = scrape(client)
    for figure in ("physical", "expected", "usable"):
        assert set(result[f"muster_gpus_{figure}"]) == {("east", "", "B")}
    assert result["muster_gpus_usable"]["east", "", "B"] == 0


def test_slots_are_not_cards(client: Any) -> None:
    node = a_node(physical=1)
    a_resource(node, "nvidia.com/gpu.shared", capacity=4, allocatable=4, requested=None, free=None)
    result = scrape(client)
    assert result["muster_gpus_physical"]["east", "", H100] == 1
    assert {labels[1]: value for labels, value in result["muster_slots"].items()} == {"capacity": 4, "allocatable": 4}


def test_rungs_by_status(client: Any) -> None:
    for status in ("pass", "fail"):
        a_node(rungs=[{"id": "kubelet_ready", "status": "pass"}, {"id": "driver_loaded", "status": status}])
    result = scrape(client)["muster_node_rungs"]
    assert result["east", "", H100, "kubelet_ready", "pass"] == 2
    assert result["east", "", H100, "driver_loaded", "fail"] == 1


def test_open_findings_silenced_ones_apart(client: Any) -> None:
    node = a_node()
    a_critical_finding(node, rule="xid", severity="fatal")
    a_critical_finding(node, rule="ecc", severity="fatal")
    a_critical_finding(node, rule="old", severity="fatal", resolved=NOON + timedelta(hours=1))
    Silence.objects.create(rule="ecc", reason="known", created_at=NOON, until=datetime.now(UTC) + timedelta(days=1))
    result = scrape(client)["muster_findings_open"]
    assert result["east", "fatal", "false"] == 1
    assert result["east", "fatal", "true"] == 1
    assert result["east", "critical", "false"] == 0


def test_collection(client: Any) -> None:
    now = datetime.now(UTC)
    section = {"name": "nodes", "outcome": "collected", "took_ms": 250}
    east = a_cluster("east", read_at=now - timedelta(seconds=90), next_due_at=now - timedelta(seconds=30), sections=[section])
    a_cluster("west", read_at=None, outcome="")
    a_cluster("gone", removed_at=now)
    a_run(east, started_at=now - timedelta(seconds=10), finished_at=now - timedelta(seconds=8))
    a_run(east, started_at=now, finished_at=None, outcome="running")
    result = scrape(client)
    assert set(result["muster_cluster_up"]) == {("east",)}
    assert result["muster_collection_age_seconds"]["east",] == pytest.approx(90, abs=20)
    assert result["muster_collection_overdue_seconds"]["east",] == pytest.approx(30, abs=20)
    assert result["muster_collection_seconds"] == {("east",): 2}
    assert result["muster_collection_section_seconds"]["east", "nodes"] == 0.25
    assert result["muster_collection_section_ok"]["east", "nodes"] == 1


def test_exporters_that_answer_and_those_that_do_not(client: Any) -> None:
    for number, outcome in enumerate(("collected", "collected", "timeout")):
        Exporter.objects.create(cluster=a_cluster(), node_name=f"n{number}", report={"outcome": outcome})
    assert scrape(client)["muster_exporters"] == {("true", "east"): 2, ("false", "east"): 1}


def test_notifications(client: Any) -> None:
    now = datetime.now(UTC)
    rule = a_rule(target=a_target("ops"))
    a_target("idle")
    a_delivery(rule, state="sent", ended_at=now)
    a_delivery(rule, state="failed", ended_at=now)
    a_delivery(rule, state="failed", ended_at=now - timedelta(hours=2))
    a_delivery(rule, due_at=now + timedelta(seconds=60), tries=2)
    a_delivery(rule, due_at=now - timedelta(seconds=60))
    a_notice()
    result = scrape(client)
    assert result["muster_deliveries_last_hour"]["failed", "ops"] == 1
    assert result["muster_deliveries_last_hour"]["failed", "idle"] == 0
    assert result["muster_deliveries_retrying"] == {("ops",): 1, ("idle",): 0}
    assert result["muster_delivery_overdue_seconds"][()] == pytest.approx(60, abs=20)
    assert result["muster_notices_waiting"][()] == 1


def test_a_scrape_costs_the_same_whatever_the_fleet(client: Any, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(17):
        scrape(client)
    for number in range(3):
        cluster = a_cluster(f"c{number}")
        for product in ("A", "B"):
            node = a_node(cluster=cluster, product=product, rungs=[{"id": "r", "status": "pass"}])
            a_resource(node)
            a_critical_finding(node)
        a_delivery(a_rule())
    with django_assert_max_num_queries(17):
        scrape(client)


TOKEN = "m3trics-t0ken"


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ключ"])
def test_names_require_the_token_where_one_is_set(client: Any, settings: Any, given: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    a_node()
    headers = {"HTTP_AUTHORIZATION": given} if given else {}
    answer = client.get("/metrics", **headers)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert b"east" not in answer.content
    ready = client.get("/readyz", **headers)
    assert "collection_age_seconds" not in ready.json()
    assert "east" not in ready.content.decode()


@pytest.mark.django_db(transaction=True)  # probes ask over a connection of their own
def test_the_token_reads_everything(client: Any, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    a_node()
    assert ("east", "", H100, "ready") in scrape(client, authorization=f"Bearer {TOKEN}")["muster_nodes"]
    ready = client.get("/readyz", headers={"authorization": f"bearer {TOKEN}"}).json()
    assert list(ready["collection_age_seconds"]) == ["east"]


@pytest.mark.parametrize(("token", "given"), [(TOKEN, ""), (TOKEN, "Bearer "), (TOKEN, f"Bearer {TOKEN}")])
def test_the_reason_of_not_ready_requires_the_token(
    client: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, token: str, given: str
) -> None:
    def fails() -> None:
        raise OperationalError('connection to server at "10.0.0.5" failed: no password for user "muster"')

    settings.METRICS_TOKEN = token
    monkeypatch.setattr("fleet.web.health._DATABASE._check", fails)
    answer = client.get("/readyz", **({"HTTP_AUTHORIZATION": given} if given else {}))
    assert answer.status_code == 503
    known = given == f"Bearer {token}"
    assert ("10.0.0.5" in answer.json()["problems"]["database"]) is known
    assert (answer.json()["problems"]["database"] == "It cannot be used.") is not known
    assert "10.0.0.5" in caplog.text


def test_a_probe_that_hangs_is_answered_within_two_seconds_and_not_started_again(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, calls = threading.Event(), []

    def hangs() -> dict[str, float | None]:
        calls.append(1)
        release.wait(30)
        return {}

    monkeypatch.setattr("fleet.web.health._DATABASE._check", hangs)
    try:
        for _ in range(3):
            started = time.monotonic()
            answer = client.get("/readyz")
            assert time.monotonic() - started < 2
            assert (answer.status_code, list(answer.json()["problems"])) == (503, ["database"])
        assert client.get("/healthz").content == b"ok\n"
        assert len(calls) == 1
    finally:
        release.set()


@pytest.mark.django_db(transaction=True)
def test_a_read_only_database_is_not_ready(client: Any, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        name = sql.Identifier(cursor.fetchone()[0])
        cursor.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        try:
            answer = client.get("/readyz", headers={"authorization": f"Bearer {TOKEN}"})
        finally:
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name))
    assert answer.status_code == 503
    assert answer.json()["problems"]["database"] == "The database is read-only: Muster cannot record anything."


@pytest.mark.django_db(transaction=True)
def test_without_any_setting_a_token_of_the_key_is_needed(client: Any, settings: Any) -> None:
    a_node()
    assert client.get("/metrics").status_code == 401
    assert "collection_age_seconds" not in client.get("/readyz").json()
    out = io.StringIO()
    settings.SECRET_KEY_IS_GIVEN = True
    call_command("metrics_token", stdout=out)
    assert scrape(client, authorization=f"Bearer {out.getvalue().strip()}")["muster_nodes"]
    assert settings.SECRET_KEY not in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_where_metrics_are_public_both_are_open(client: Any, settings: Any) -> None:
    settings.METRICS_ARE_PUBLIC = True
    a_node()
    assert scrape(client)["muster_nodes"]
    assert list(client.get("/readyz").json()["collection_age_seconds"]) == ["east"]
    assert client.get("/healthz").content == b"ok\n"
