"""The page of incidents: the answer first, one row per cause, numbers that agree, and what its form does."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from fleet.models import Node, Silence
from fleet.services import incidents
from fleet.web.charts import incidents as incident_chart
from fleet.web.shell import time_range
from tests.factories import NOON, a_class_version, a_cluster, a_finding, a_node, a_pod, a_pool, a_team
from tests.web.test_findings import text_of

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


@pytest.fixture
def broken() -> int:
    """A node with a fatal cause and a symptom, a warning, two untainted nodes, one incident that is over; the id of the first."""
    node = a_node("n1", expected=8, usable=0, verdict="not_ready")
    a_team("search-ml", namespaces=["search"])
    a_pod(node, "vllm-0", namespace="search", ready=False)
    recent = NOW - timedelta(hours=2)
    fault = a_finding(
        node, "xid", severity="fatal", key="GPU-1/79", text="It fell.", opened=recent, remedy="Look: `kubectl get node n1`",
    )  # fmt: skip
    a_finding(node, "slots_mismatch", severity="critical", opened=recent)
    a_finding(a_node("n2", usable=8), "thermal", text="It is hot.", opened=recent)
    for name in ("n3", "n4"):
        a_finding(a_node(name), "untainted", severity="info", opened=recent)
    a_finding(a_node("n5"), "thermal", text="It was hot.", opened=recent, resolved=NOW - timedelta(hours=1))
    incidents.regroup(a_cluster(), NOW)
    return fault.pk


def test_the_title_is_the_answer_and_every_number_agrees(reader: Any, broken: int) -> None:
    page = text_of(reader, "/incidents/")
    assert "2 open incidents, 1 of them fatal" in page
    assert "1 of them keep 8 GPUs out of use." in page
    assert "3 findings , grouped by cause" in page or "3 findings, grouped by cause" in page
    assert "3 new incidents in 24 h" in page
    for words in ("Open 2", "Notes 1", "Resolved 1", "Silenced 0", "Findings 2", "1 pod down: search-ml", "2 findings"):
        assert words in page, words
    html = reader.get("/incidents/").content.decode()
    assert len(re.findall(r'<details class="incident ', html)) == 2
    assert html.index("It fell") < html.index("It is hot")
    assert 'data-copy="kubectl --context east get node n1"' in html
    assert f"/incidents/{broken}/" in html


def test_what_is_shown_is_what_the_address_says(reader: Any, broken: int) -> None:
    notes = text_of(reader, "/incidents/?show=notes")
    assert "GPU node without a taint" in notes
    assert "It fell" not in notes
    assert "It was hot" in text_of(reader, "/incidents/?show=resolved")
    assert "It was hot" not in text_of(reader, "/incidents/?show=resolved&window=1h&cluster=west")
    assert "No incident matches" in text_of(reader, "/incidents/?cluster=west")
    assert "is not a time range" in text_of(reader, "/incidents/?window=2y")
    assert "must end after it begins" in text_of(reader, "/incidents/?since=2026-11-23T12:00&until=2026-11-23T11:00")


def test_no_open_incidents_is_shown_only_where_everything_was_read(reader: Any) -> None:
    a_node("n1")
    assert "No open incidents" in text_of(reader, "/incidents/")
    a_cluster("far", read_at=None, taken_at=None)
    assert "No open incident known" in text_of(reader, "/incidents/")


def test_an_incident_has_a_page_with_all_of_its_findings(reader: Any, broken: int) -> None:
    page = text_of(reader, f"/incidents/{broken}/")
    assert page.count("It fell") >= 2
    assert "Slots do not match the devices" in page
    assert "No driver, label, taint or GPU stack change on this node" in page
    assert reader.get("/incidents/999999/").status_code == 404
    assert reader.post(f"/incidents/{broken}/").status_code == 405


def test_an_incident_is_silenced_from_its_row(client: Any, viewer: Any, operator: Any, broken: int) -> None:
    url = reverse("incident-silence", args=(broken,))
    client.force_login(viewer)
    assert client.post(url, {"reason": "x", "hours": "4"}).status_code == 403
    client.force_login(operator)
    answer = client.post(url, {"reason": "RMA-7", "hours": "4", "next": "/incidents/?window=7d"})
    assert (answer.status_code, answer["Location"]) == (302, "/incidents/?window=7d")
    assert Silence.objects.count() == 2
    assert "1 open incident, warning" in text_of(client, "/incidents/")
    assert "It fell" in text_of(client, "/incidents/?show=silenced")
    assert client.post(url, {"reason": "x", "hours": "4", "next": "https://evil.example/"})["Location"] == "/incidents/"


def test_text_of_a_cluster_formats_nothing(reader: Any) -> None:
    a_finding(a_node("n1"), "thermal", text="<script>x</script> [a](b) `c`", severity="fatal")
    html = reader.get("/incidents/").content.decode()
    assert "<script>x" not in html
    assert r"\[a\](b) \`c\`" in html


def test_the_drawing_has_a_block_for_every_incident_up_to_six_in_an_interval() -> None:
    range_ = time_range.TimeRange("24h", NOON - timedelta(hours=24), NOON)
    began = [(number, "fatal", NOON - timedelta(minutes=number), number % 2 == 0) for number in range(1, 9)]
    drawn = incident_chart.chart(
        range_, began, [("east", NOON - timedelta(hours=3), NOON - timedelta(hours=1))], NOON - timedelta(hours=20)
    )
    (interval,) = drawn.intervals
    assert (interval.count, len(interval.blocks), interval.more) == (8, 6, 2)
    assert (drawn.total, drawn.open, drawn.resolved, drawn.severe) == (8, 4, 4, 8)
    assert [hatch.label for hatch in drawn.hatches] == ["not observed", "east unreachable"]
    assert drawn.observed_from == NOON - timedelta(hours=20)
    assert "began_since=2026-11-23T11%3A00%3A00Z&until=2026-11-23T12%3A00%3A00Z" in interval.url


def test_the_facet_of_classes_counts_what_its_choice_shows(reader: Any, broken: int) -> None:
    a_pool("h100-serving", Node.objects.get(name="n1"))
    a_class_version("full-h100", pools=["h100-serving"])
    a_class_version("nothing", pools=["elsewhere"])
    html = reader.get("/incidents/").content.decode()
    facet = html.split('id="menu-workload_class"')[1].split("</details>")[0]
    assert "full-h100" in facet
    assert "nothing" not in facet
    shown = reader.get("/incidents/?workload_class=full-h100").content.decode()
    assert len(re.findall(r'<details class="incident ', shown)) == 1
    assert "It fell" in shown
