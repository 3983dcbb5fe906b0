"""/metrics and /readyz: what they say, what they leave out, to whom, and what they cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from prometheus_client.parser import text_string_to_metric_families

from fleet.models import Exporter, Mute
from tests.factories import NOON, a_cluster, a_critical_finding, a_delivery, a_node, a_notice, a_resource, a_rule, a_run, a_target

pytestmark = pytest.mark.django_db
H100 = "NVIDIA-H100-80GB-HBM3"


def scrape(client: Any, **headers: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Family to label values (in the order of their names) to value."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_verdicts_with_their_zeros(client: Any) -> None:
    for verdict in ("ready", "ready", "not_ready"):
        a_node(verdict=verdict)
    a_node(removed_at=NOON)
    nodes = scrape(client)["muster_nodes"]
    assert nodes["east", "", H100, "ready"] == 2
    assert nodes["east", "", H100, "not_ready"] == 1
    assert nodes["east", "", H100, "unknown"] == 0
    assert len(nodes) == 6


def test_what_nobody_counted_has_no_sample(client: Any) -> None:
    a_node(product="A", physical=None, expected=None, usable=None, offered=None)
    a_node(product="B", physical=8, expected=8, usable=0)
    found = scrape(client)
    for figure in ("physical", "expected", "usable"):
        assert set(found[f"muster_gpus_{figure}"]) == {("east", "", "B")}
    assert found["muster_gpus_usable"]["east", "", "B"] == 0


def test_slots_are_not_cards(client: Any) -> None:
    node = a_node(physical=1)
    a_resource(node, "nvidia.com/gpu.shared", capacity=4, allocatable=4, requested=None, free=None)
    found = scrape(client)
    assert found["muster_gpus_physical"]["east", "", H100] == 1
    assert {labels[1]: value for labels, value in found["muster_slots"].items()} == {"capacity": 4, "allocatable": 4}


def test_rungs_by_status(client: Any) -> None:
    for status in ("pass", "fail"):
        a_node(rungs=[{"id": "kubelet_ready", "status": "pass"}, {"id": "driver_loaded", "status": status}])
    found = scrape(client)["muster_node_rungs"]
    assert found["east", "", H100, "kubelet_ready", "pass"] == 2
    assert found["east", "", H100, "driver_loaded", "fail"] == 1


def test_open_findings_muted_ones_apart(client: Any) -> None:
    node = a_node()
    a_critical_finding(node, rule="xid", severity="fatal")
    a_critical_finding(node, rule="ecc", severity="fatal")
    a_critical_finding(node, rule="old", severity="fatal", resolved=NOON + timedelta(hours=1))
    Mute.objects.create(rule="ecc", reason="known", created_at=NOON, until=datetime.now(UTC) + timedelta(days=1))
    found = scrape(client)["muster_findings_open"]
    assert found["east", "false", "fatal"] == 1
    assert found["east", "true", "fatal"] == 1
    assert found["east", "false", "critical"] == 0


def test_collection(client: Any) -> None:
    now = datetime.now(UTC)
    section = {"name": "nodes", "outcome": "collected", "took_ms": 250}
    east = a_cluster("east", read_at=now - timedelta(seconds=90), next_due_at=now - timedelta(seconds=30), sections=[section])
    a_cluster("west", read_at=None, outcome="")
    a_cluster("gone", removed_at=now)
    a_run(east, started_at=now - timedelta(seconds=10), finished_at=now - timedelta(seconds=8))
    a_run(east, started_at=now, finished_at=None, outcome="running")
    found = scrape(client)
    assert set(found["muster_cluster_up"]) == {("east",)}
    assert found["muster_collection_age_seconds"]["east",] == pytest.approx(90, abs=20)
    assert found["muster_collection_overdue_seconds"]["east",] == pytest.approx(30, abs=20)
    assert found["muster_collection_seconds"] == {("east",): 2}
    assert found["muster_collection_section_seconds"]["east", "nodes"] == 0.25
    assert found["muster_collection_section_ok"]["east", "nodes"] == 1


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
    found = scrape(client)
    assert found["muster_deliveries_last_hour"]["failed", "ops"] == 1
    assert found["muster_deliveries_last_hour"]["failed", "idle"] == 0
    assert found["muster_deliveries_retrying"] == {("ops",): 1, ("idle",): 0}
    assert found["muster_delivery_overdue_seconds"][()] == pytest.approx(60, abs=20)
    assert found["muster_notices_waiting"][()] == 1


def test_a_scrape_costs_the_same_whatever_the_fleet(client: Any, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(17):
        client.get("/metrics")
    for number in range(3):
        cluster = a_cluster(f"c{number}")
        for product in ("A", "B"):
            node = a_node(cluster=cluster, product=product, rungs=[{"id": "r", "status": "pass"}])
            a_resource(node)
            a_critical_finding(node)
        a_delivery(a_rule())
    with django_assert_max_num_queries(17):
        client.get("/metrics")


TOKEN = "m3trics-t0ken"


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ключ"])
def test_with_a_token_set_nobody_else_reads_names(client: Any, settings: Any, given: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    a_node()
    headers = {"HTTP_AUTHORIZATION": given} if given else {}
    answer = client.get("/metrics", **headers)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert b"east" not in answer.content
    ready = client.get("/readyz", **headers)
    assert "collection_age_seconds" not in ready.json()
    assert "east" not in ready.content.decode()


def test_whoever_brings_the_token_reads_all(client: Any, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    a_node()
    assert ("east", "", H100, "ready") in scrape(client, authorization=f"Bearer {TOKEN}")["muster_nodes"]
    ready = client.get("/readyz", headers={"authorization": f"bearer {TOKEN}"}).json()
    assert list(ready["collection_age_seconds"]) == ["east"]


@pytest.mark.parametrize(("token", "given"), [("", ""), ("", "Bearer "), (TOKEN, ""), (TOKEN, f"Bearer {TOKEN}")])
def test_why_it_is_not_ready_is_told_to_who_brings_a_token(
    client: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, token: str, given: str
) -> None:
    def fails() -> None:
        raise OperationalError('connection to server at "10.0.0.5" failed: no password for user "muster"')

    settings.METRICS_TOKEN = token
    monkeypatch.setattr("fleet.web.health.connection.cursor", fails)
    answer = client.get("/readyz", **({"HTTP_AUTHORIZATION": given} if given else {}))
    assert answer.status_code == 503
    known = bool(token and given)
    assert ("10.0.0.5" in answer.json()["problems"]["database"]) is known
    assert (answer.json()["problems"]["database"] == "It does not answer.") is not known
    assert "10.0.0.5" in caplog.text


def test_without_a_token_set_both_are_open(client: Any) -> None:
    a_node()
    assert scrape(client)["muster_nodes"]
    assert list(client.get("/readyz").json()["collection_age_seconds"]) == ["east"]
    assert client.get("/healthz").content == b"ok\n"
