from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.models import AuditEntry, XidOverride
from tests.factories import NOON, a_burst, a_cluster, a_node

pytestmark = pytest.mark.django_db
BURSTS = "/api/v1/xid-bursts/"


def codes(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [row["code"] for row in answer.json()["results"]]


def test_a_burst_says_all_that_is_known_and_null_for_the_rest(reader: Any) -> None:
    node = a_node("n1", a_cluster("east"))
    a_burst(node, 79, job="Job/a/b", pods=["a/b-0"], incident="xid-1", count=3, started_at=NOON, last_at=NOON)
    a_burst(node, 12345, uuid="", source="condition", started_at=NOON - timedelta(hours=1))
    rows = reader.get(BURSTS).json()["results"]
    assert {key: value for key, value in rows[0].items() if key != "id"} == {
        "cluster": "east", "node": "n1", "uuid": "GPU-0", "code": 79, "name": "GPU has fallen off the bus", "severity": "fatal",
        "started_at": NOON.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "last_at": NOON.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "count": 3,
        "source": "gauge", "pods": ["a/b-0"], "job": "Job/a/b", "incident": "xid-1",
    }  # fmt: skip
    assert (rows[1]["uuid"], rows[1]["job"], rows[1]["severity"], rows[1]["name"]) == (
        None,
        None,
        "warning",
        "Not in the catalogue",
    )


def test_bursts_are_filtered(reader: Any) -> None:
    result, other = a_node("n1", a_cluster("east")), a_node("n2", a_cluster("west"))
    a_burst(result, 79, started_at=NOON - timedelta(hours=2), last_at=NOON - timedelta(hours=1))
    a_burst(other, 13, started_at=NOON, last_at=NOON)
    assert codes(reader.get(BURSTS)) == [13, 79]
    assert codes(reader.get(BURSTS + "?cluster=east")) == [79]
    assert codes(reader.get(BURSTS + "?node=n2")) == [13]
    assert codes(reader.get(BURSTS + "?code=79,48")) == [79]
    assert codes(reader.get(BURSTS + "?severity=info&severity=warning")) == [13]
    since = (NOON - timedelta(minutes=90)).isoformat().replace("+00:00", "Z")
    assert codes(reader.get(BURSTS + f"?since={since}")) == [13, 79]  # it went on then
    assert codes(reader.get(BURSTS + f"?until={since}")) == [79]
    assert codes(reader.get(BURSTS + "?ordering=code")) == [13, 79]


def test_a_filter_that_makes_no_sense_is_an_error(reader: Any) -> None:
    for query in ("?code=many", "?cod=79", "?since=yesterday", "?ordering=colour"):
        assert reader.get(BURSTS + query).status_code == 400, query


def test_bursts_have_facets_pages_and_csv(reader: Any) -> None:
    node = a_node("n1")
    for number in range(5):
        a_burst(node, 79 if number % 2 else 13)
    facets = reader.get(BURSTS + "facets/").json()["facets"]
    assert facets["code"] == [{"value": "13", "count": 3}, {"value": "79", "count": 2}]
    assert facets["severity"] == [{"value": "info", "count": 3}, {"value": "fatal", "count": 2}]
    first = reader.get(BURSTS + "?limit=3").json()
    second = reader.get(first["next"]).json()
    assert len({row["id"] for row in first["results"] + second["results"]}) == 5
    lines = b"".join(reader.get(BURSTS + "?format=csv").streaming_content).decode().splitlines()
    assert lines[0].startswith("id,cluster,node,uuid,code,name,severity")
    assert len(lines) == 6


def test_a_decision_changes_the_severity_of_what_is_listed(reader: Any, operator: Any) -> None:
    a_burst(a_node("n1"), 13)
    reader.put("/api/v1/xids/13/override/", {"severity": "critical", "reason": "because"}, content_type="application/json")
    assert reader.get(BURSTS).json()["results"][0]["severity"] == "critical"
    assert codes(reader.get(BURSTS + "?severity=info")) == []


def test_bursts_cost_a_constant_number_of_queries(reader: Any) -> None:
    counts = []
    for _ in range(2):
        for number in range(10):
            a_burst(a_node(f"n{number}-{len(counts)}"), 79)
        with CaptureQueriesContext(connection) as value:
            reader.get(BURSTS)
        counts.append(len(value))
    assert counts[0] == counts[1]


def test_the_policy_of_every_code(reader: Any) -> None:
    answer = reader.get("/api/v1/xids/").json()
    assert (answer["next"], answer["previous"], len(answer["results"])) == (None, None, 134)
    result = reader.get("/api/v1/xids/63/").json()
    assert result == next(row for row in answer["results"] if row["code"] == 63)
    assert (result["severity"], result["disagree"], result["override"], result["overridden"]) == (
        "info",
        ["gpud", "eks", "plugin"],
        None,
        False,
    )
    assert reader.get("/api/v1/xids/9999/").json()["name"] == "Not in the catalogue"


def test_policies_are_searched_filtered_counted_and_exported(reader: Any) -> None:
    assert codes(reader.get("/api/v1/xids/?q=79")) == [79]
    assert codes(reader.get("/api/v1/xids/?severity=fatal")) == [79]
    assert set(codes(reader.get("/api/v1/xids/?family=nvlink&severity=critical,warning"))) == {74, 136, *range(144, 151), 155}
    assert reader.get("/api/v1/xids/?colour=red").status_code == 400
    facets = reader.get("/api/v1/xids/facets/?severity=fatal").json()["facets"]
    assert {item["value"] for item in facets["severity"]} == {"info", "warning", "critical", "fatal"}
    assert facets["family"] == [{"value": "bus", "count": 1}]
    lines = b"".join(reader.get("/api/v1/xids/?format=csv").streaming_content).decode().splitlines()
    assert len(lines) == 135


def test_an_operator_decides_with_a_reason_and_takes_it_back(reader: Any) -> None:
    url = "/api/v1/xids/13/override/"
    answer = reader.put(url, {"severity": "critical", "action": "run_diag", "reason": "because"}, content_type="application/json")
    assert answer.status_code == 200
    assert (answer.json()["severity"], answer.json()["override"]["by"], answer.json()["override"]["reason"]) == (
        "critical",
        "otto",
        "because",
    )
    assert AuditEntry.objects.get().action == "xid.override"
    assert reader.delete(url).status_code == 204
    assert not XidOverride.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"severity": "critical"},
        {"severity": "awful", "reason": "x"},
        {"severity": "info", "action": "shout", "reason": "x"},
        {"severity": "info", "reason": "  "},
    ],
)
def test_half_a_decision_is_refused(reader: Any, body: dict[str, str]) -> None:
    answer = reader.put("/api/v1/xids/13/override/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("application/problem+json")
    assert not XidOverride.objects.exists()


def test_a_viewer_decides_nothing(client: Any, viewer: Any) -> None:
    client.force_login(viewer)
    body = {"severity": "info", "reason": "because"}
    assert client.put("/api/v1/xids/13/override/", body, content_type="application/json").status_code == 403
    assert client.delete("/api/v1/xids/13/override/").status_code == 403
    assert client.get("/api/v1/xids/13/").status_code == 200
