from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.models import AuditEntry, Silence
from tests.factories import NOON, a_cluster, a_finding, a_node

pytestmark = pytest.mark.django_db
URL = "/api/v1/findings/"
FAR = datetime(2099, 1, 1, tzinfo=UTC)
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()


def texts(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["text"] for row in answer.json()["results"]]


def test_a_finding_carries_everything_a_reader_needs(reader: Any) -> None:
    finding = a_finding(a_node("n1"), severity="critical", rung="labels_accurate", key="k", subject="gpu")
    (row,) = reader.get(URL).json()["results"]
    assert row == {
        "id": finding.pk, "rule": "untainted", "title": "GPU node without a taint", "status": "open", "severity": "critical",
        "subject": "gpu", "cluster": "east", "node": "n1", "key": "k", "text": "Something is not as it should be.",
        "evidence": [{"source": "label", "key": "nvidia.com/gpu.count", "value": "8"}],
        "remedy": "Look at it.\nkubectl describe node n1", "rung": "labels_accurate", "opened_at": "2026-11-23T12:00:00.000000Z",
        "resolved_at": None, "silenced": None,
    }  # fmt: skip
    assert reader.get(f"{URL}{finding.pk}/").json() == row


def test_worst_first_then_longest_standing(reader: Any) -> None:
    node = a_node("n1")
    a_finding(node, key="1", text="info", severity="info")
    a_finding(node, key="2", text="late fatal", severity="fatal", opened=NOON + timedelta(hours=1))
    a_finding(node, key="3", text="warning")
    a_finding(node, key="4", text="critical", severity="critical")
    assert texts(reader.get(URL)) == ["late fatal", "critical", "warning", "info"]
    assert texts(reader.get(f"{URL}?ordering=opened"))[-1] == "late fatal"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["a", "b"]),
        ("status=open", ["a", "b"]),
        ("status=silenced", ["m"]),
        ("status=resolved", ["r"]),
        ("status=open,silenced", ["a", "b", "m"]),
        ("status=open&status=resolved", ["a", "b", "r"]),
        ("since=2026-11-23T13:00:00Z", ["a", "b", "m"]),
        ("since=2026-11-23T11:00:00Z&status=resolved", ["r"]),
        ("until=2026-11-23T11:59:00Z", []),
        ("severity=critical", ["b"]),
        ("cluster=west", ["b"]),
        ("node=n1", ["a"]),
        ("rule=untainted", ["a"]),
        ("subject=cluster", ["b"]),
        ("rung=driver_loaded", ["b"]),
        ("product=NVIDIA-H100-80GB-HBM3", ["a"]),
        ("q=west+driver", ["b"]),
        ("q=nothing", []),
    ],
)
def test_filters(reader: Any, monkeypatch: pytest.MonkeyPatch, query: str, expected: list[str]) -> None:
    monkeypatch.setattr("fleet.filters.RESOLVED_WITHIN", abs(datetime.now(UTC) - NOON) + timedelta(days=1))
    node, west = a_node("n1"), a_cluster("west")
    a_finding(node, text="a")
    a_finding(cluster=west, rule="driver_skew", text="b", severity="critical", subject="cluster", rung="driver_loaded")
    silenced = a_finding(node, rule="pods_without_gpu", text="m")
    a_finding(node, rule="overcommitted", text="r", resolved=NOON + timedelta(minutes=5))
    Silence.objects.create(cluster=silenced.cluster, node=node, rule=silenced.rule, reason="x", created_at=NOON, until=FAR)
    assert sorted(texts(reader.get(URL + "?" + query))) == expected


def test_resolved_findings_cover_a_month_unless_asked_further_back(reader: Any) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=90)
    a_finding(a_node(), opened=long_ago, resolved=long_ago + timedelta(hours=1))
    assert texts(reader.get(f"{URL}?status=resolved")) == []
    assert len(texts(reader.get(URL, {"status": "resolved", "since": (long_ago - timedelta(days=1)).isoformat()}))) == 1


def test_a_status_that_is_none_is_400(reader: Any) -> None:
    answer = reader.get(f"{URL}?status=closed")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["status"])


def test_facets_count_each_status_by_itself(reader: Any) -> None:
    node = a_node("n1")
    a_finding(node)
    a_finding(node, rule="overcommitted", severity="critical")
    Silence.objects.create(rule="overcommitted", reason="x", created_at=NOON, until=FAR)
    facets = reader.get(f"{URL}facets/").json()["facets"]
    counts = {value["value"]: value["count"] for value in facets["status"]}
    assert counts == {"open": 1, "silenced": 1, "resolved": 0}
    assert facets["rule"] == [{"value": "untainted", "count": 1}]


def test_csv_has_every_row(reader: Any) -> None:
    node = a_node("n1")
    for number in range(3):
        a_finding(node, key=str(number))
    body = b"".join(reader.get(f"{URL}?format=csv").streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(body)))
    assert [row["node"] for row in rows] == ["n1"] * 3


def test_the_list_costs_the_same_however_long(reader: Any) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            reader.get(URL)
        return len(seen)

    a_finding(a_node())
    before = queries()
    for _ in range(20):
        a_finding(a_node())
    assert queries() == before


def test_a_node_has_its_open_findings(reader: Any) -> None:
    node = a_node("n1")
    a_finding(node, severity="info", key="i")
    a_finding(node, severity="fatal", key="f")
    a_finding(node, key="over", resolved=NOON + timedelta(minutes=1))
    for row in (reader.get("/api/v1/nodes/east/n1/").json(), reader.get("/api/v1/nodes/").json()["results"][0]):
        assert [(item["severity"], item["key"]) for item in row["findings"]] == [("fatal", "f"), ("info", "i")]

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            reader.get("/api/v1/nodes/")
        return len(seen)

    before = queries()
    for _ in range(5):
        a_finding(a_node())
    assert queries() == before


def test_silence_and_unsilence(reader: Any, operator: Any) -> None:
    finding = a_finding(a_node("n1"), key="k")
    answer = reader.post(f"{URL}{finding.pk}/silence/", {"reason": "Being repaired.", "until": TOMORROW}, "application/json")
    assert answer.status_code == 200, answer.content
    assert answer.json()["status"] == "silenced"
    assert answer.json()["silenced"]["by"] == operator.username
    assert texts(reader.get(URL)) == []
    silence = Silence.objects.get()
    assert (silence.node, silence.rule, silence.key, silence.by) == (finding.node, "untainted", "k", operator)
    again = reader.post(f"{URL}{finding.pk}/unsilence/")
    assert (again.status_code, again.json()["status"]) == (200, "open")
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["finding.silence", "finding.unsilence"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"until": TOMORROW}, "reason"),
        ({"reason": " ", "until": TOMORROW}, "reason"),
        ({"reason": "x"}, "until"),
        ({"reason": "x", "until": "2020-01-01T00:00:00Z"}, "until"),
        ({"reason": "x", "until": "2099-01-01T00:00:00Z"}, "until"),
        ({"reason": "x", "until": TOMORROW, "scope": "planet"}, "scope"),
        ({"reason": "x", "until": TOMORROW, "scope": "node"}, "scope"),
    ],
)
def test_a_silence_needs_a_reason_and_an_end(reader: Any, body: dict[str, str], field: str) -> None:
    finding = a_finding(cluster=a_cluster(), rule="driver_skew")
    answer = reader.post(f"{URL}{finding.pk}/silence/", body, "application/json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert not Silence.objects.exists()
    assert not AuditEntry.objects.exists()


def test_viewers_may_read_and_not_silence(client: Any, viewer: Any) -> None:
    finding = a_finding(a_node())
    client.force_login(viewer)
    assert client.get(URL).status_code == 200
    for action in ("silence", "unsilence"):
        assert (
            client.post(f"{URL}{finding.pk}/{action}/", {"reason": "x", "until": TOMORROW}, "application/json").status_code == 403
        )
    assert not Silence.objects.exists()


def test_a_finding_that_never_was_is_404(reader: Any) -> None:
    assert reader.get(f"{URL}999999/").status_code == 404
    assert reader.post(f"{URL}999999/silence/", {}, "application/json").status_code == 404
