from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.models import AuditEntry, XidBurstRow, XidOverride
from tests.factories import a_burst, a_node

pytestmark = pytest.mark.django_db


def text_of(client: Any, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    sub = re.sub(r"<(script|style|template)\b.*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", unescape(sub))


def test_the_table_holds_every_code_and_is_searched(reader: Any) -> None:
    assert "134 codes" in text_of(reader, "/xids/?show=all")
    text = text_of(reader, "/xids/?q=fallen")
    assert "1 code " in text
    assert "GPU has fallen off the bus" in text
    assert "No code matches" in text_of(reader, "/xids/?q=unicorn")
    assert "Xid" in text_of(reader, "/xids/?show=disagree")


def test_an_unlisted_code_is_shown_where_it_was_seen(reader: Any) -> None:
    a_burst(a_node("n1"), 4711)
    XidBurstRow.objects.update(last_at=datetime.now(UTC))
    shown = text_of(reader, "/xids/?show=seen")
    assert "Not in the catalogue" in shown
    assert "4711" in shown


def test_the_page_opens_on_what_was_seen_in_the_time_of_its_address(reader: Any) -> None:
    now, node = datetime.now(UTC), a_node("n1")
    for uuid in ("GPU-a", "GPU-b"):
        a_burst(node, 79, uuid=uuid, started_at=now - timedelta(hours=3), last_at=now - timedelta(hours=3))
    a_burst(node, 31, started_at=now - timedelta(days=5), last_at=now - timedelta(days=5))
    day = text_of(reader, "/xids/")
    assert "1 Xid code seen in 24 h" in day
    assert "MMU fault" not in day
    html = reader.get("/xids/").content.decode()
    assert re.findall(r'data-key="xid-(\d+)"', html) == ["79"]
    assert re.search(r'data-key="xid-79".*?data-value>2</td>', html, re.S), "two GPUs"
    week = reader.get("/xids/?window=7d").content.decode()
    assert re.findall(r'data-key="xid-(\d+)"', week) == ["79", "31"], "the most severe first"
    assert "No Xid seen in 1 h" in text_of(reader, "/xids/?window=1h")
    assert re.findall(r'data-key="xid-(\d+)"', reader.get("/xids/?q=48").content.decode()) == ["48"], "a search covers every code"


def test_one_code_shows_its_sources_and_bursts(reader: Any) -> None:
    a_burst(a_node("n1"), 63, job="Job/team-a/train")
    shown = text_of(reader, "/xids/63/")
    assert "3 sources disagree" in shown
    assert "fatal: reboot, then inspect hardware" in shown
    assert "Job/team-a/train" in shown


def test_an_operator_decides_and_every_role_sees_who_and_when(reader: Any) -> None:
    reader.post("/xids/63/override/", {"severity": "critical", "action": "reset_gpu", "reason": "We replace <early>."})
    assert (XidOverride.objects.get().severity, AuditEntry.objects.get().reason) == ("critical", "We replace <early>.")
    shown = text_of(reader, "/xids/63/")
    assert "otto set this" in shown
    assert "We replace <early>." in shown
    assert "by otto" in text_of(reader, "/xids/?show=decided")
    reader.post("/xids/63/withdraw/")
    assert not XidOverride.objects.exists()
    assert "set this" not in text_of(reader, "/xids/63/")


def test_without_a_reason_nothing_is_decided(reader: Any) -> None:
    answer = reader.post("/xids/63/override/", {"severity": "critical", "action": "none", "reason": " "}, follow=True)
    assert "A reason is required." in answer.content.decode()
    assert not XidOverride.objects.exists()


def test_a_viewer_reads_and_decides_nothing(client: Any, viewer: Any) -> None:
    client.force_login(viewer)
    assert "Changing the policy requires the operator role" in text_of(client, "/xids/63/")
    refused = text_of(client, "/audit/", 403)
    assert "This needs the operator role; yours is viewer." in refused
    assert client.post("/xids/63/override/", {"severity": "info", "reason": "x"}).status_code == 403
    assert client.post("/xids/63/withdraw/").status_code == 403


def test_a_number_that_is_no_code_is_not_found(reader: Any) -> None:
    assert reader.get("/xids/0/").status_code == 404
    assert reader.get("/xids/100000/").status_code == 404


@pytest.mark.usefixtures("held_time")
def test_a_page_that_did_not_change_is_not_sent_again_and_a_decision_changes_it(reader: Any, operator: Any) -> None:
    first = reader.get("/xids/")
    assert reader.get("/xids/", headers={"If-None-Match": first["ETag"]}).status_code == 304
    XidOverride.objects.create(code=13, severity="info", reason="x", by=operator, at="2026-11-23T12:00:00Z")
    assert reader.get("/xids/", headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_the_pages_cost_a_constant_number_of_queries(reader: Any) -> None:
    counts = []
    for _ in range(2):
        for number in range(10):
            a_burst(a_node(f"n{number}-{len(counts)}"), 79)
        with CaptureQueriesContext(connection) as value:
            reader.get("/xids/")
            reader.get("/xids/79/")
        counts.append(len(value))
    assert counts[0] == counts[1]
