"""The pages Findings and Audit: what they show, what their forms do, and who may."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.models import AuditEntry, Silence
from fleet.services import incidents
from fleet.services.audit import audit
from fleet.services.silences import silence
from tests.factories import NOON, a_cluster, a_finding, a_node

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


def text_of(reader: Any, path: str, status: int = 200, **headers: str) -> str:
    answer = reader.get(path, headers=headers)
    assert answer.status_code == status
    sub = re.sub(r"<(script|style|template)\b.*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", unescape(sub))


def test_a_finding_stands_with_its_evidence_and_what_to_do(reader: Any) -> None:
    a_finding(
        a_node("n1"), text="It broke.", severity="critical", rung="labels_accurate", remedy="Look: `kubectl get x`\nMend it."
    )
    page = text_of(reader, "/findings/")
    for words in (
        "1 open finding",
        "Critical",
        "It broke.",
        "east / n1",
        "labels_accurate",
        "nvidia.com/gpu.count",
        "Mend it.",
        "8 GPUs",
    ):
        assert words in page, words
    assert 'data-copy="kubectl --context east get x"' in reader.get("/findings/").content.decode()


def test_lines_of_a_counters_csv_are_one_block_to_copy(reader: Any) -> None:
    a_finding(cluster=a_cluster(), rule="counters_not_enabled", remedy="Add these lines:\nDCGM_A, gauge, A.\nDCGM_B, gauge, B.")
    assert "DCGM_A, gauge, A.\nDCGM_B, gauge, B." in reader.get("/findings/").content.decode()


def test_worst_first_newest_on_request_and_filtered(reader: Any) -> None:
    node = a_node("n1")
    a_finding(node, key="1", text="First one.", severity="info", opened=NOON - timedelta(hours=2))
    a_finding(node, key="2", text="Second one.", severity="fatal", opened=NOON - timedelta(hours=1))
    worst, newest = text_of(reader, "/findings/"), text_of(reader, "/findings/?sort=newest")
    assert worst.index("Second one.") < worst.index("First one.")
    assert newest.index("Second one.") < newest.index("First one.")
    only = text_of(reader, "/findings/?severity=info")
    assert "First one." in only
    assert "Second one." not in only
    assert "Clear 1 filter" in only


def test_the_view_is_what_the_address_says_whatever_the_number(reader: Any) -> None:
    for number in range(101):
        a_finding(a_node(f"n{number}"))
    a_finding(cluster=a_cluster("west"), rule="driver_skew", severity="critical")
    assert text_of(reader, "/findings/").count("Something is not as it should be.") == 50
    grouped = text_of(reader, "/findings/?by=rule")
    assert re.search(
        r"Critical Driver versions differ driver_skew 1 the cluster .* GPU node without a taint untainted 101 101", grouped
    )


def test_resolved_ones_say_how_long_they_stood(reader: Any) -> None:
    now = datetime.now(UTC)
    a_finding(a_node("n1"), opened=now - timedelta(hours=3), resolved=now - timedelta(hours=1))
    assert "No open findings" in text_of(reader, "/findings/")
    page = text_of(reader, "/findings/?status=resolved")
    assert "2 h resolved 1 h ago" in page
    assert "Silence" not in page.split("Evidence")[-1]


def test_a_range_lists_what_was_open_in_it_and_every_link_keeps_it(reader: Any) -> None:
    now = datetime.now(UTC)
    a_finding(a_node("n1"), text="Still open.", opened=now - timedelta(days=9))
    a_finding(a_node("n2"), text="Ended today.", opened=now - timedelta(days=3), resolved=now - timedelta(hours=5))
    a_finding(a_node("n3"), text="Ended last week.", opened=now - timedelta(days=9), resolved=now - timedelta(days=8))
    day = text_of(reader, "/findings/?window=24h")
    assert "2 findings in 24 h" in day
    assert "Ended today." in day
    assert "Ended last week." not in day
    assert "1 finding in 1 h" in text_of(reader, "/findings/?window=1h")
    past = f"since={now - timedelta(days=10):%Y-%m-%dT%H:%M}&until={now - timedelta(days=7):%Y-%m-%dT%H:%M}"
    custom = text_of(reader, f"/findings/?{past}&severity=warning")
    assert "2 findings in this range" in custom
    assert "Clear 1 filter" in custom
    html = reader.get("/findings/?window=24h&by=rule").content.decode()
    (rule,) = re.findall(r'href="(\?[^"]*rule=untainted[^"]*)"', html)
    assert "2 findings in 24 h" in text_of(reader, f"/findings/{unescape(rule)}")
    (csv,) = re.findall(r'href="(/api/v1/findings/\?[^"]*format=csv)"', html)
    assert b"".join(reader.get(unescape(csv)).streaming_content).count(b",untainted,") == 2
    assert "1 open finding" in text_of(reader, "/findings/")
    assert "“9w” is not a time range" in text_of(reader, "/findings/?window=9w")


def test_empty_for_want_of_filters_of_readings_and_of_findings(reader: Any) -> None:
    assert "No cluster collected yet" in text_of(reader, "/findings/")
    a_cluster("east")
    assert "rules evaluated on 1 cluster" in text_of(reader, "/findings/")
    assert "No finding matches 1 filter" in text_of(reader, "/findings/?severity=fatal")
    assert "Unknown status 'closed'" in text_of(reader, "/findings/?status=closed")


def test_a_cluster_that_cannot_be_read_is_named_above_its_findings(reader: Any) -> None:
    late = datetime.now(UTC) - timedelta(minutes=40)
    a_cluster("east", read_at=late, outcome="failed", failing_since=late, error="No answer after 10 s.")
    a_cluster("west", read_at=None, taken_at=None, outcome="")
    page = text_of(reader, "/findings/")
    assert "east was last collected 40 min ago" in page
    assert "No answer after 10 s." in page
    assert "west was never collected completely" in page


def test_the_navigation_counts_incidents_that_are_not_silenced(reader: Any, operator: Any) -> None:
    node = a_node("n1")
    assert "nav__count--alert" not in reader.get("/clusters/").content.decode()
    a_finding(node, "thermal", severity="critical")
    a_finding(node, "many_shares", severity="warning")
    silenced = a_finding(a_node("n2"), "xid", severity="fatal", key="GPU-1/79")
    a_finding(a_node("n3"), severity="info")
    now = datetime.now(UTC)
    silence(operator, silenced, reason="x", until=now + timedelta(hours=1), now=now)
    incidents.regroup(node.cluster, now)
    html = reader.get("/clusters/").content.decode()
    assert re.search(r'Findings\s*<span class="nav__count nav__count--alert">1</span>', html)


def test_silence_and_unsilence_on_the_page(reader: Any, operator: Any) -> None:
    finding = a_finding(a_node("n1"))
    form = {"reason": "Being repaired.", "hours": "24", "scope": "finding", "next": "/findings/?severity=warning"}
    answer = reader.post(f"/findings/{finding.pk}/silence/", form)
    assert (answer.status_code, answer["Location"]) == (302, "/findings/?severity=warning")
    held = Silence.objects.get()
    assert (held.by, held.reason) == (operator, "Being repaired.")
    assert timedelta(hours=23) < held.until - datetime.now(UTC) < timedelta(hours=25)
    page = reader.get("/findings/").content.decode()
    assert "Something is not as it should be." not in page
    assert f'action="/silences/{held.pk}/end/"' in page, "the message offers to undo it"
    reader.post(f"/findings/{finding.pk}/silence/", {**form, "reason": "Again."})
    assert "Undo" not in text_of(reader, "/findings/"), "ending a silence does not restore its earlier reason"
    assert "by otto: Again." in text_of(reader, "/findings/?status=silenced")
    reader.post(f"/silences/{held.pk}/end/", {"next": "/findings/"})
    assert "Something is not as it should be." in text_of(reader, "/findings/")
    assert AuditEntry.objects.count() == 3


@pytest.mark.parametrize(
    "form", [{"hours": "24"}, {"reason": "x", "hours": "99999"}, {"reason": "x", "hours": "24", "scope": "moon"}]
)
def test_a_form_that_lacks_something_says_so(reader: Any, form: dict[str, str]) -> None:
    finding = a_finding(a_node("n1"))
    answer = reader.post(f"/findings/{finding.pk}/silence/", form, follow=True)
    assert "band--bad" in answer.content.decode()
    assert not Silence.objects.exists()


def test_the_way_back_leads_nowhere_else(reader: Any) -> None:
    finding = a_finding(a_node("n1"))
    for there in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        answer = reader.post(f"/findings/{finding.pk}/silence/", {"reason": "x", "hours": "1", "next": there})
        assert answer["Location"] == "/findings/"


def test_who_only_reads_silences_nothing(client: Any, viewer: Any, operator: Any) -> None:
    finding = a_finding(a_node("n1"))
    now = datetime.now(UTC)
    held = silence(operator, a_finding(a_node("n2")), reason="x", until=now + timedelta(hours=1), now=now)
    client.force_login(viewer)
    html = client.get("/findings/?status=open&status=silenced").content.decode()
    assert "/silence/" not in html
    assert "/end/" not in html
    assert client.post(f"/findings/{finding.pk}/silence/", {"reason": "x", "hours": "1"}).status_code == 403
    assert client.post(f"/silences/{held.pk}/end/").status_code == 403
    assert client.get(f"/findings/{finding.pk}/silence/").status_code == 405
    assert client.get("/audit/").status_code == 403
    assert "/audit/" not in html


def test_the_list_asks_as_often_for_fifty_as_for_one(reader: Any) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            reader.get("/findings/", headers={"HX-Request": "true"})
        return len(seen)

    a_finding(a_node())
    before = queries()
    for _ in range(60):
        a_finding(a_node())
    assert queries() == before


@pytest.mark.usefixtures("held_time")
def test_htmx_gets_the_region_and_304_until_something_is_silenced(reader: Any, operator: Any) -> None:
    finding = a_finding(a_node("n1"))
    audit(operator, "finding.silence", "x")
    for path in ("/findings/", "/findings/?by=rule", "/audit/"):
        answer = reader.get(path, headers={"HX-Request": "true"})
        assert "<html" not in answer.content.decode()
        assert len(re.findall(r"\sdata-refresh-url=", answer.content.decode())) == 1
        again = reader.get(path, headers={"HX-Request": "true", "If-None-Match": answer["ETag"]})
        assert again.status_code == 304
    tag = reader.get("/findings/", headers={"HX-Request": "true"})["ETag"]
    now = datetime.now(UTC)
    silence(operator, finding, reason="x", until=now + timedelta(hours=1), now=now)
    assert reader.get("/findings/", headers={"HX-Request": "true", "If-None-Match": tag}).status_code == 200


def test_hostile_texts_stay_texts(reader: Any, operator: Any) -> None:
    bad = '"><img src=x onerror=alert(1)>'
    finding = a_finding(
        a_node("n1", product=bad), bad, key=bad, text=bad, severity="info", remedy=f"`{bad}`\n{bad}\nDCGM_{bad}", rung=bad,
        evidence=[{"source": bad, "key": bad, "value": bad}],
    )  # fmt: skip
    now = datetime.now(UTC)
    silence(operator, finding, reason=bad, until=now + timedelta(hours=1), now=now)
    audit(operator, bad, bad, bad, {bad: bad, "nested": {bad: [bad]}})
    for path in ("/findings/?status=silenced", "/findings/?status=silenced&by=rule", "/audit/"):
        assert "<img" not in reader.get(path).content.decode()


@pytest.mark.parametrize("query", ["page=9999", "sort=odd", "by=odd", "since=yesterday", "within=odd", "rule=odd"])
def test_an_odd_address_is_no_error(reader: Any, query: str) -> None:
    a_finding(a_node("n1"))
    for path in ("/findings/", "/audit/"):
        assert reader.get(f"{path}?{query}").status_code == 200


# --- the audit log ------------------------------------------------------------------------------------------------------


def test_entries_stand_newest_first_with_reason_and_detail(reader: Any, operator: Any) -> None:
    audit(
        operator,
        "finding.silence",
        "untainted on east/n1",
        "Being repaired.",
        {"scope": "finding", "before": None},
        NOW - timedelta(hours=2),
    )
    audit(None, "waiver.expire", "telemetry_healthy", at=NOW - timedelta(hours=1))
    page = text_of(reader, "/audit/")
    assert page.index("waiver.expire") < page.index("Being repaired.")
    assert "2 entries" in page
    assert "Scope finding" in page
    assert "Before" not in page
    assert "1 entry" in text_of(reader, "/audit/?actor=otto")
    assert "1 entry" in text_of(reader, "/audit/?q=repaired")


def test_entries_of_the_last_day(reader: Any, operator: Any) -> None:
    audit(operator, "finding.silence", "old", at=NOW - timedelta(days=3))
    audit(operator, "finding.silence", "new", at=NOW - timedelta(hours=1))
    assert "1 entry" in text_of(reader, "/audit/?within=1")
    assert "2 entries" in text_of(reader, "/audit/?within=7")


def test_an_empty_log_says_what_will_stand_there(reader: Any) -> None:
    assert "No entries yet" in text_of(reader, "/audit/")
    assert "No entry matches 1 filter" in text_of(reader, "/audit/?q=nothing")
