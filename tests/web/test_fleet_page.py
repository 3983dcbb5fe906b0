"""The front page busy, empty, stale and in the past: the figures add up, and each leads to as many nodes as it counts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest

from fleet.models import Node, Silence
from fleet.selectors.fleet import map as fleet_map
from fleet.services import incidents
from fleet.templatetags.map_ui import group_url
from tests.factories import a_cluster, a_finding_saying, a_ladder, a_node, a_pod, a_rung_period, a_team, a_verdict_period
from tests.web.seeding import a_busy_fleet, a_revision
from tests.web.test_pages import text_of

pytestmark = pytest.mark.django_db


def rows_behind(reader: Any, url: str) -> int:
    result = re.search(r"(\d+) nodes? ", text_of(reader, unescape(url)).split("Filters")[-1])
    assert result, url
    return int(result[1])


def test_the_number_its_definition_and_the_missing_by_reason(reader: Any) -> None:
    a_busy_fleet()
    page = text_of(reader, "/")
    usable, expected, missing = (
        int(item.replace(",", "")) for item in re.search(r"([\d,]+) of ([\d,]+) expected .*? ([\d,]+) missing", page).groups()
    )
    assert expected - usable == missing == 56
    assert "Usable: on a node that reaches its pool’s required rung" in page
    counts = re.findall(r'data-key="missing-.*?rows__num" data-value>(\d+)<', reader.get("/").content.decode(), re.S)
    assert sum(map(int, counts)) == missing


def test_every_figure_of_the_funnel_leads_to_as_many_nodes(reader: Any) -> None:
    a_busy_fleet()
    html = reader.get("/").content.decode()
    passed = re.findall(r'funnel__passed"\s+href="([^"]+)"[^>]*>\s*([\d,]+)\s*<', html)
    stops = re.findall(r'funnel__stop v-\w+"\s+href="([^"]+)".*?<span data-value>(\d+)</span>', html, re.S)
    others = re.findall(r'funnel__na"\s+href="([^"]+)">\s*(\d+) n/a', html)
    assert len(passed) == 10
    assert len(stops) == 8
    for url, count in [*passed, *stops, *others]:
        if int(count.replace(",", "")):
            assert rows_behind(reader, url) == int(count.replace(",", "")), url


def test_nodes_by_team_are_those_that_its_pods_hold_slots_on(reader: Any) -> None:
    a_team("vision", namespaces=["vision", "vision-eval"])
    a_team("speech")
    both, single, idle = a_node("both"), a_node("single"), a_node("idle")
    for node, namespace in ((both, "vision"), (both, "speech"), (both, "vision-eval"), (single, "vision"), (idle, "no-team")):
        a_pod(node, namespace=namespace)
    a_pod(idle, namespace="vision", holds=False, phase="Succeeded")
    a_pod(None, namespace="vision", holds=False, phase="Pending")
    groups = {group.name: [tile.name for tile in group.tiles] for group in reader.get("/?by=team").context["groups"]}
    assert groups == {"speech": ["both"], "vision": ["both", "single"], fleet_map.NO_TEAM: ["idle"]}
    for team, count in (("vision", 2), ("speech", 1), ("none", 1), ("none,speech", 2)):
        assert f" {count} node{'s' if count > 1 else ''} " in text_of(reader, f"/nodes/?team={team}")
    (facet,) = [row for row in reader.get("/nodes/").context["facets"] if row.name == "team"]
    assert [(row.value, row.count) for row in facet.values] == [("vision", 2), ("speech", 1), ("none", 1)]
    assert "Used by no team" in text_of(reader, "/?by=team")
    assert "by cluster" in text_of(reader, f"/?by=team&at={datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M}")


def test_the_missing_reasons_lead_to_their_nodes(reader: Any) -> None:
    a_busy_fleet()
    html = reader.get("/").content.decode()
    reasons = re.findall(r'data-key="missing-.*?href="(/nodes/[^"]+)"', html, re.S)
    assert len(reasons) == 7
    assert sum(rows_behind(reader, url) for url in reasons) == rows_behind(reader, "/nodes/?missing=true") == 7


def test_a_waived_rung_is_counted_apart_and_never_as_passing(reader: Any) -> None:
    waiver = {"rung": "cuda_works", "reason": "no validator here", "by": "otto", "at": "2026-11-01T00:00:00Z", "where": "cluster"}
    waived = {"cuda_works": {"status": "not_enabled", "waiver": waiver}}
    for _ in range(3):
        a_node(verdict="ready", usable=8, rungs=a_ladder(**waived))
    html = reader.get("/").content.decode()
    assert 'aria-label="3 waived at CUDA works"' in html
    assert 'aria-label="0 pass CUDA works"' in html
    assert "Hollow: waived." in text_of(reader, "/")
    assert rows_behind(reader, "/nodes/?rung=cuda_works:waived&excluded=false") == 3
    assert "No node matches" in text_of(reader, "/nodes/?rung=cuda_works:not_enabled")


def test_the_map_is_coloured_by_verdict_and_a_stale_cluster_is_hatched(reader: Any) -> None:
    a_busy_fleet()
    html = reader.get("/").content.decode()
    assert html.count('class="tile v-not_ready"') == 4
    assert html.count("tile v-ready tile--stale") == 22
    assert 'class="tile v-ready"' in html
    assert "Where it stops" not in html
    assert re.search(r"verdicts turn unknown at (\d+ \w+ )?\d\d:\d\d UTC", text_of(reader, "/"))


def test_after_the_limit_the_verdicts_are_unknown(reader: Any) -> None:
    late = datetime.now(UTC) - timedelta(minutes=40)
    a_node(cluster=a_cluster("east", read_at=late, failing_since=late, error="No answer."), verdict="unknown")
    assert re.search(r"its verdicts are unknown since .*?\d\d:\d\d UTC", text_of(reader, "/"))


def test_incidents_come_worst_first_one_row_per_cause_and_the_number_is_that_of_the_navigation(reader: Any) -> None:
    now = datetime.now(UTC)
    a_finding_saying(a_node("warned"), "It only warns", now - timedelta(hours=9), severity="warning")
    burning = a_node()
    a_finding_saying(burning, "It burns", now - timedelta(hours=1), severity="fatal")
    a_finding_saying(burning, "It smokes", now - timedelta(hours=1), severity="warning", rule="smoke")
    a_finding_saying(a_node(), "A silenced finding", now - timedelta(hours=2), rule="loud")
    a_finding_saying(a_node(), "A note", now - timedelta(hours=2), severity="info")
    a_finding_saying(a_node(), "It is over", now - timedelta(hours=3), now - timedelta(hours=2))
    Silence.objects.create(rule="loud", reason="known", created_at=now, until=now + timedelta(hours=1))
    incidents.regroup(burning.cluster, now)
    html = reader.get("/").content.decode()
    card = html.split("Open incidents</h2>")[1].split("</section>")[0]
    assert card.index("It burns") < card.index("It only warns")
    for hidden in ("It smokes", "A silenced finding", "A note", "It is over"):
        assert hidden not in card
    assert re.search(r"All 2\s+incidents", card)
    assert re.search(r'href="/incidents/"[^>]*>.*?nav__count[^>]*>\s*2\s*<', html, re.S)


def test_the_last_hour_shows_verdicts_and_folds_equal_changes(reader: Any) -> None:
    a_busy_fleet()
    page = text_of(reader, "/").split("Changed in the last hour")[1]
    assert "ready → not ready, kubelet_ready" in page
    assert "and 2 more" in page
    assert "570.172.08 → 580.95.05" in page
    assert "research-onprem unreachable" in page


def test_a_verdict_and_the_fact_behind_it_stand_in_one_line(reader: Any) -> None:
    now = datetime.now(UTC)
    node, at = a_node(verdict="not_ready"), now - timedelta(minutes=9)
    a_verdict_period(node, now - timedelta(days=1), at)
    a_verdict_period(node, at, None, "not_ready", broken_rung="resources_advertised")
    a_revision(node, at, None, [{"section": "allocatable", "key": "nvidia.com/gpu", "before": "8", "after": "7"}])
    html = reader.get("/").content.decode().split("Changed in the last hour")[-1]
    assert html.count('data-key="event-') == 1
    assert "ready → not ready, resources_advertised; allocatable" in text_of(reader, "/")


def test_a_reason_within_the_line_is_no_sentence_and_an_empty_value_has_no_colon(reader: Any) -> None:
    now = datetime.now(UTC)
    node, at = a_node(verdict="excluded"), now - timedelta(minutes=9)
    a_verdict_period(node, now - timedelta(days=1), at)
    a_verdict_period(node, at, None, "excluded", reason="The node is cordoned.")
    taint = {"section": "taints", "key": "node.kubernetes.io/unschedulable:NoSchedule", "before": None, "after": ""}
    a_revision(node, at, None, [taint])
    page = text_of(reader, "/").split("Changed in the last hour")[1]
    assert re.search(r"ready → excluded, the node is cordoned; taint node\.kubernetes\S+ added(?! *:)", page), page[:300]


def test_one_change_of_verdict_on_many_nodes_is_one_line(reader: Any) -> None:
    now = datetime.now(UTC)
    for place in range(4):
        node, at = a_node(verdict="not_ready"), now - timedelta(minutes=9 + place)
        a_verdict_period(node, now - timedelta(days=1), at)
        a_verdict_period(node, at, None, "not_ready", broken_rung="resources_advertised")
        a_revision(node, at, None, [{"section": "devices", "key": f"gpu-{place}", "before": f"GPU-{place}", "after": None}])
    html = reader.get("/").content.decode().split("Changed in the last hour")[-1]
    assert html.count('data-key="event-') == 1
    page = text_of(reader, "/")
    assert "and 3 more ready → not ready, resources_advertised" in page
    assert "gpu-0" not in page


def test_one_cluster_alone_counts_its_own(reader: Any) -> None:
    a_busy_fleet()
    page = text_of(reader, "/?cluster=prod-eu-west")
    assert "336 of 352 expected" in page
    assert "Row-remap failure" not in page
    html = reader.get("/?cluster=prod-eu-west").content.decode()
    url, count = re.findall(r'funnel__passed"\s+href="([^"]+)"[^>]*>\s*([\d,]+)\s*<', html)[7]
    assert rows_behind(reader, url) == int(count)


def test_an_unjudged_fleet_is_neither_well_nor_broken(reader: Any) -> None:
    a_node()
    page = text_of(reader, "/")
    assert "No node evaluated yet" in page
    assert "0 of 8 expected" in page


def test_the_past_adds_up_links_to_itself_and_does_not_refresh(reader: Any) -> None:
    now = datetime.now(UTC)
    good, bad = a_node(verdict="not_ready", rungs=a_ladder("gpu_present")), a_node(verdict="ready", usable=8, rungs=a_ladder())
    for node in (good, bad):
        Node.objects.filter(pk=node.pk).update(first_seen_at=now - timedelta(days=9))
    a_verdict_period(good, now - timedelta(days=2), now - timedelta(hours=1))
    a_verdict_period(good, now - timedelta(hours=1), None, "not_ready")
    a_verdict_period(bad, now - timedelta(days=2), now - timedelta(hours=2), "not_ready", broken_rung="driver_loaded")
    a_verdict_period(bad, now - timedelta(hours=2), None)
    a_rung_period(bad, "driver_loaded", now - timedelta(days=2), now - timedelta(hours=2), "fail")
    a_rung_period(good, "driver_loaded", now - timedelta(days=2))
    at = quote((now - timedelta(hours=5)).isoformat(timespec="seconds"))
    html = reader.get(f"/?at={at}").content.decode()
    page = text_of(reader, f"/?at={at}")
    assert "As of" in page
    assert "8 of 16 expected" in page
    assert "8 missing" in page
    assert "data-refresh-url" not in html
    assert 'aria-label="1 fail at Driver loaded"' in html
    assert not re.search(r'funnel__\w+[^>]*href="/nodes/', html), "the list of today has no such rows"
    assert re.search(r'class="tile v-not_ready" href="/nodes/east/[^"]+\?at=', html)


def test_a_moment_before_everything_says_so(reader: Any) -> None:
    a_node()
    assert "No data for that moment" in text_of(reader, "/?at=2020-01-01T00:00")


@pytest.mark.parametrize("at", ["nonsense", "2999-01-01T00:00", "2026-13-45"])
def test_an_invalid_moment_is_reported_and_the_page_is_live(reader: Any, at: str) -> None:
    a_node()
    page = text_of(reader, f"/?at={at}")
    assert "Showing live data" in page
    assert "data-refresh-url" in reader.get(f"/?at={at}").content.decode()


def test_the_number_of_queries_does_not_grow_with_the_fleet(reader: Any, django_assert_max_num_queries: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    now = datetime.now(UTC)
    a_finding_saying(a_node(verdict="ready", usable=8, rungs=a_ladder()), "It burns", now - timedelta(hours=1), severity="fatal")

    def asked(path: str) -> int:
        reader.get(path)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            reader.get(path)
        return len(captured)

    paths = ("/", "/nodes/", "/?at=" + quote((now - timedelta(minutes=10)).isoformat()))
    few = [asked(path) for path in paths]
    a_busy_fleet(now)
    assert [asked(path) for path in paths] == few


def test_a_map_of_many_nodes_shows_counts_and_the_group_that_misses_most_first(monkeypatch: pytest.MonkeyPatch) -> None:
    a_node("a1", product="A100", verdict="ready", expected=8, usable=8)
    for name in ("z1", "z2"):
        a_node(name, product="H100", verdict="not_ready", expected=8, usable=0)
    now = datetime.now(UTC)
    assert [group.name for group in fleet_map.groups(Node.objects.all(), "product", now)] == ["A100", "H100"]
    monkeypatch.setattr(fleet_map, "LARGE", 2)
    groups = fleet_map.groups(Node.objects.all(), "product", now)
    assert [(group.name, group.by_verdict["not_ready"]) for group in groups] == [("H100", 2), ("A100", 0)]
    assert group_url("product", "H100", "not_ready") == "/nodes/?product=H100&verdict=not_ready"
    assert group_url("team", fleet_map.NO_TEAM, "ready") == "/nodes/?team=none&verdict=ready"
