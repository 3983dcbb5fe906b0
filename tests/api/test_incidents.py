"""The list of incidents: shape, filters, facets, CSV, silencing."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from fleet.models import FindingRow
from fleet.services import incidents
from tests.factories import NOON, a_class_version, a_cluster, a_finding, a_node, a_pod, a_pool, a_team

pytestmark = pytest.mark.django_db
URL = "/api/v1/incidents/"
SHAPE = {
    "id", "status", "severity", "cause", "remedy", "rung", "cluster", "first_evidence_at", "seen_at", "ended_at", "nodes", "gpus",
    "findings", "affected",
}  # fmt: skip


@pytest.fixture
def broken() -> FindingRow:
    """A node with a cause and two symptoms, of which one is resolved; its finding is returned."""
    node = a_node("n1", expected=8, usable=0, verdict="not_ready")
    a_pool("h100", node)
    a_class_version("old-h100", 1, pools=["h100"])
    a_class_version("old-h100", 2, pools=["elsewhere"])
    a_class_version("full-h100", 1, pools=["h100"])
    a_team("search-ml", namespaces=["search"])
    a_pod(node, "vllm-0", namespace="search", ready=False)
    fault = a_finding(node, "xid", severity="fatal", key="GPU-1/79", text="It fell.", remedy="Reboot.")
    a_finding(node, "slots_mismatch", severity="critical", rung="resources_advertised")
    incidents.regroup(node.cluster, NOON)
    return fault


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_a_row_has_the_shape_of_the_contract(reader: Any, broken: FindingRow) -> None:
    (row,) = reader.get(URL).json()["results"]
    assert set(row) == SHAPE
    assert (row["id"], row["severity"], row["status"], row["gpus"]) == (broken.pk, "fatal", "open", 8)
    assert row["cause"] == {"rule": "xid", "text": "It fell"}
    assert row["nodes"] == [{"cluster": "east", "name": "n1"}]
    assert row["findings"][0] == broken.pk
    assert len(row["findings"]) == 2
    assert row["ended_at"] is None
    assert {"pods", "teams", "classes"} <= set(row["affected"])
    assert row["affected"]["teams"] == ["search-ml"]
    assert row["affected"]["pods"][0] == {
        "cluster": "east", "namespace": "search", "name": "vllm-0", "team": "search-ml", "running": False,
    }  # fmt: skip
    assert reader.get(f"{URL}{row['findings'][1]}/").json()["id"] == broken.pk


def test_filters_are_of_the_incident_or_of_any_of_its_findings(reader: Any, broken: FindingRow) -> None:
    other = a_finding(a_node("n2", cluster=a_cluster("west")), "untainted", severity="info")
    over = a_finding(a_node("n3"), "thermal", opened=NOON, resolved=datetime.now(UTC) - timedelta(hours=1))
    for query, wanted in (
        ("", [broken.pk, other.pk]),
        ("status=resolved", [over.pk]),
        ("status=open,resolved", [broken.pk, over.pk, other.pk]),
        ("severity=fatal", [broken.pk]),
        ("severity=critical", []),
        ("rule=slots_mismatch", [broken.pk]),
        ("rung=resources_advertised", [broken.pk]),
        ("cluster=west", [other.pk]),
        ("node=n1", [broken.pk]),
        ("pool=h100", [broken.pk]),
        ("team=search-ml", [broken.pk]),
        ("workload_class=full-h100", [broken.pk]),
        ("workload_class=old-h100", []),
        ("workload_class=unknown", []),
        ("q=fell", [broken.pk]),
        ("until=2020-01-01T00:00:00Z", []),
        ("began_since=2026-11-23T12:00:00Z&status=open", [broken.pk, other.pk]),
        ("began_since=2026-11-23T12:00:01Z&status=open", []),
    ):
        assert ids(reader.get(f"{URL}?{query}")) == wanted, query
    for query in ("status=ended", "since=yesterday", "nodes=n1"):
        assert reader.get(f"{URL}?{query}").status_code == 400, query


def test_facets_count_incidents_and_not_findings(reader: Any, broken: FindingRow) -> None:
    a_finding(a_node("n2"), "untainted", severity="info")
    facets = reader.get(f"{URL}facets/").json()["facets"]
    assert facets["severity"] == [
        {"value": "fatal", "count": 1}, {"value": "critical", "count": 0}, {"value": "warning", "count": 0},
        {"value": "info", "count": 1},
    ]  # fmt: skip
    assert facets["cluster"] == [{"value": "east", "count": 2}]
    assert facets["pool"] == [{"value": "h100", "count": 1}]
    assert {row["value"]: row["count"] for row in facets["status"]} == {"open": 2, "silenced": 0, "resolved": 0}


def test_pages_by_cursor_and_csv_hold_every_incident_once(reader: Any) -> None:
    for number in range(5):
        a_finding(a_node(), "thermal", opened=NOON - timedelta(minutes=number))
    seen, url = [], f"{URL}?limit=2"
    while url:
        answer = reader.get(url).json()
        seen += [row["id"] for row in answer["results"]]
        url = answer["next"]
    assert len(seen) == len(set(seen)) == 5
    text = b"".join(reader.get(f"{URL}?format=csv").streaming_content).decode()
    lines = list(csv.DictReader(StringIO(text)))
    assert {int(row["id"]) for row in lines} == set(seen)
    assert lines[0]["cause.text"] == "Something is not as it should be"


def test_silencing_needs_an_operator_and_a_reason(client: Any, viewer: Any, operator: Any, broken: FindingRow) -> None:
    body = {"reason": "RMA-7", "until": (datetime.now(UTC) + timedelta(hours=2)).isoformat()}
    url = f"{URL}{broken.pk}/silence/"
    client.force_login(viewer)
    assert client.post(url, body, content_type="application/json").status_code == 403
    client.force_login(operator)
    assert client.post(url, {**body, "reason": ""}, content_type="application/json").status_code == 400
    answer = client.post(url, body, content_type="application/json")
    assert (answer.status_code, answer.json()["status"]) == (200, "silenced")
    assert ids(client.get(URL)) == []
    assert client.post(f"{URL}999999/silence/", body, content_type="application/json").status_code == 404
