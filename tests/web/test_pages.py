"""Every page in its odd states: nothing there, never read, nothing known, gone, hostile. Journeys are in tests/browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest

from fleet.models import CollectionRun, NodeRevision
from fleet.services import sign_in
from tests.factories import a_cluster, a_node, a_resource

pytestmark = pytest.mark.django_db
LONG = "gke-" + "a" * 55 + "-k7qd"
UNKNOWN: dict[str, Any] = {
    "product": "",
    "physical": None,
    "expected": None,
    "advertised_gpus": None,
    "partitioning": "",
    "sharing": "",
    "mode": "",
    "slots_capacity": None,
    "slots_allocatable": None,
    "slots_requested": None,
    "slots_free": None,
    "state": "unknown",
    "driver_version": "",
    "zone": "",
    "machine_type": "",
}


def text_of(reader: Any, path: str, status: int = 200, **headers: str) -> str:
    answer = reader.get(path, headers=headers)
    assert answer.status_code == status
    sub = re.sub(r"<(script|style|template)\b.*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", unescape(sub))


def test_without_a_cluster_the_pages_say_what_to_set(reader: Any) -> None:
    for path in ("/", "/clusters/"):
        assert "MUSTER_KUBECONFIG" in text_of(reader, path)
    assert "No GPU nodes yet" in text_of(reader, "/nodes/")


def test_a_cluster_never_read_is_neither_well_nor_empty(reader: Any) -> None:
    a_cluster("east", read_at=None, taken_at=None, outcome="", server_version="", platform="")
    assert "was never collected" in text_of(reader, "/")
    for path in ("/clusters/", "/clusters/east/"):
        shown = text_of(reader, path)
        assert "Never collected" in shown
        assert "may read everything" not in shown


def test_a_cluster_that_fails_shows_its_last_known_data_with_its_age(reader: Any) -> None:
    now = datetime.now(UTC)
    late = now - timedelta(minutes=11)
    cluster = a_cluster("east", read_at=late, outcome="failed", failing_since=late, error="No answer after 10 s.")
    node = a_node(cluster=cluster)
    front = text_of(reader, "/")
    assert "east unreachable since" in front
    assert "No answer after 10 s." in front
    assert "Hatched: stale" in front
    assert "Stale 11 min" in front
    assert "Showing last known data" in text_of(reader, f"/nodes/east/{node.name}/")
    assert "Cluster unreachable" in text_of(reader, "/clusters/east/")


def test_slots_bear_the_age_of_the_pods_they_were_counted_from(reader: Any) -> None:
    now = datetime.now(UTC)
    for minutes, aged in ((0, False), (12, True)):
        read_at = {"pods": (now - timedelta(minutes=minutes)).isoformat()}
        cluster = a_cluster(f"c{minutes}", read_at=now, section_read_at=read_at)
        a_node(cluster=cluster)
        assert ("12 min old" in text_of(reader, f"/clusters/{cluster.name}/")) == aged
        assert ("12 min old" in text_of(reader, "/clusters/")) == aged


def test_an_unknown_value_is_never_a_number(reader: Any) -> None:
    node = a_node(LONG, **UNKNOWN)
    a_resource(node, capacity=None, allocatable=None, requested=None, free=None, predicted=None)
    assert "The GPU count of these nodes is not known" in text_of(reader, "/")
    row = text_of(reader, "/nodes/").split(LONG)[-1]
    assert row.count("unknown") >= 6
    page = text_of(reader, f"/nodes/east/{LONG}/")
    assert "GPU count unknown" in page
    assert "slot holders unknown" in page
    assert "None" not in page


def test_a_gone_node_keeps_its_page(reader: Any) -> None:
    node = a_node(removed_at=datetime.now(UTC))
    assert "Node removed" in text_of(reader, f"/nodes/east/{node.name}/")
    assert node.name not in text_of(reader, "/nodes/")
    assert node.name in text_of(reader, "/nodes/?removed=true").replace(" ", "")


def test_the_missing_add_up_and_link_to_as_many_nodes(reader: Any) -> None:
    a_node(verdict="ready", usable=8)
    a_node(verdict="degraded", usable=7, broken_rung="labels_accurate")
    a_node(verdict="not_ready", usable=0, broken_rung="resources_advertised")
    a_node(verdict="excluded", usable=0)
    shown = text_of(reader, "/")
    assert "15 of 32 expected" in shown
    assert "17 missing" in shown
    assert "Show 3 nodes" in shown
    assert "3 nodes" in text_of(reader, "/nodes/?missing=true")
    assert "1 node " in text_of(reader, "/nodes/?missing=true&verdict=not_ready&broken_rung=resources_advertised")


def test_hostile_texts_stay_texts(reader: Any) -> None:
    bad = '"><img src=x onerror=alert(1)>'
    cluster = a_cluster("east", error=bad, outcome="failed", failing_since=datetime.now(UTC), platform=bad)
    finding = {"rule": bad, "severity": bad, "text": bad, "evidence": [{"source": bad, "key": bad, "value": bad}]}
    node = a_node(
        cluster=cluster, product=bad, mode=bad, reason=bad, zone=bad, labels={bad: bad}, state="none",
        device_findings=[finding], evidence=finding["evidence"], conditions=[{"type": bad, "status": bad}],
    )  # fmt: skip
    for path in ("/", "/nodes/", f"/nodes/east/{node.name}/", "/clusters/east/", "/?by=product", "/?by=mode"):
        assert "<img" not in reader.get(path).content.decode()


@pytest.mark.usefixtures("held_time")
def test_htmx_gets_the_region_only_and_304_after_that(reader: Any) -> None:
    node = a_node()
    for path in ("/", "/nodes/", f"/nodes/east/{node.name}/", "/clusters/", "/clusters/east/"):
        answer = reader.get(path, headers={"HX-Request": "true"})
        part = answer.content.decode()
        assert "<html" not in part
        assert len(re.findall(r"\sdata-refresh-url=", part)) == 1
        again = reader.get(path, headers={"HX-Request": "true", "If-None-Match": answer["ETag"]})
        assert again.status_code == 304


def test_revisions_tell_what_changed(reader: Any) -> None:
    node = a_node()
    now = datetime.now(UTC)
    changes = [{"section": "allocatable", "key": "nvidia.com/gpu", "before": "8", "after": "7"}]
    NodeRevision.objects.create(node=node, period=(now - timedelta(hours=2), now - timedelta(minutes=5)), facts={})
    NodeRevision.objects.create(node=node, period=(now - timedelta(minutes=5), None), facts={}, changes=changes)
    page = text_of(reader, f"/nodes/east/{node.name}/")
    assert "allocatable nvidia.com/gpu 8 → 7" in page
    assert "lasted 1 h 55 min" in page
    assert "8 → 7" in text_of(reader, "/")


def test_passes_stand_with_their_outcome(reader: Any) -> None:
    cluster = a_cluster()
    now = datetime.now(UTC)
    for minute, outcome in enumerate(("ok", "failed", "partial", "lost")):
        CollectionRun.objects.create(
            cluster=cluster, trigger="schedule", outcome=outcome, started_at=now - timedelta(minutes=minute),
            finished_at=now - timedelta(minutes=minute, seconds=-3), error="" if outcome == "ok" else "It broke.",
        )  # fmt: skip
    CollectionRun.objects.create(cluster=cluster, trigger="page", started_at=now)
    page = text_of(reader, "/clusters/east/")
    for word in ("Complete", "Failed", "Partial", "Worker lost", "still running", "Page", "It broke."):
        assert word in page


def test_who_may_not_read_now_sees_no_button(client: Any, viewer: Any) -> None:
    a_cluster()
    client.force_login(viewer)
    for path in ("/clusters/", "/clusters/east/"):
        assert "Collect now" not in client.get(path).content.decode()


@pytest.mark.parametrize("query", ["q=((", "page=99999", "sort=nonsense", "columns=nonsense", "by=nonsense"])
def test_an_odd_address_is_no_error(reader: Any, query: str) -> None:
    a_node()
    for path in ("/", "/nodes/"):
        assert reader.get(f"{path}?{query}").status_code == 200


def test_errors_have_a_page_of_their_own(reader: Any) -> None:
    assert "Not found" in text_of(reader, "/nowhere/", 404)
    assert "Not found" in text_of(reader, "/nodes/east/nobody/", 404)


def test_a_used_link_says_how_to_get_another(client: Any) -> None:
    answer = client.post("/sign-in/nonsense/")
    assert (answer.status_code, "Link expired" in answer.content.decode()) == (410, True)


def test_a_link_is_redeemed_by_its_button_once_and_its_secret_is_never_logged(
    client: Any, db: None, caplog: pytest.LogCaptureFixture
) -> None:
    link = sign_in.create_owner_link("").rstrip("/")
    secret = link.rpartition("/")[2]
    for method in (client.head, client.get, client.get):
        assert method(f"{link}/").status_code == 200
    assert "_auth_user_id" not in client.session
    assert client.post(f"{link}/").status_code == 302
    assert client.session["_auth_user_id"]
    client.logout()
    assert client.post(f"{link}/").status_code == 410
    assert secret not in caplog.text


def test_a_wrong_password_reveals_nothing_else(client: Any) -> None:
    answer = client.post("/sign-in/", {"username": "nobody", "password": "nothing"})
    assert "Wrong name or password" in answer.content.decode()
