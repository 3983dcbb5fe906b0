"""A node deleted and created again under its name: one history with both objects, and the revisions of both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fleet.models import Cluster, CollectionRun
from tests.absorbing import absorb
from tests.services.snapshots import T0, a_node, a_snapshot

pytestmark = pytest.mark.django_db


def record(east: Cluster, *nodes: Any, hours: float) -> None:
    east.refresh_from_db()
    seen = a_snapshot(*nodes, after_s=hours * 3600)
    absorb(east, seen, CollectionRun(cluster=east, started_at=seen.taken_at))


@pytest.fixture
def recreated() -> None:
    east = Cluster.objects.create(name="east")
    record(east, a_node("n1", "first"), a_node("n2"), hours=0)
    record(east, a_node("n1", "first", labels={"team": "a"}), a_node("n2"), hours=1)
    record(east, a_node("n2"), hours=2)
    record(east, a_node("n1", "second"), a_node("n2"), hours=3)


def window(**hours: float) -> str:
    return "&".join(f"{name}={(T0 + timedelta(hours=value)).isoformat().replace('+00:00', 'Z')}" for name, value in hours.items())


def test_the_history_reaches_the_old_object_with_a_break_between(reader: Any, recreated: None) -> None:
    answer = reader.get(f"/api/v1/nodes/east/n1/history/?{window(since=0, until=5)}").json()
    assert [entry["uid"] for entry in answer["objects"]] == ["first", "second"]
    assert answer["objects"][0]["removed_at"].startswith("2026-11-23T14:00:00")
    assert answer["objects"][1]["removed_at"] is None
    starts = [(hour(entry["since"]), hour(entry["until"])) for entry in answer["verdicts"]]
    assert (starts[0][0], starts[-2][1], starts[-1]) == ("12:00", "14:00", ("15:00", None))
    assert [hour(entry["at"]) for entry in answer["changes"]] == ["12:00", "13:00", "15:00"]


def hour(moment: str | None) -> str | None:
    return None if moment is None else moment[11:16]


def test_a_window_after_the_old_object_has_the_new_one_only(reader: Any, recreated: None) -> None:
    answer = reader.get(f"/api/v1/nodes/east/n1/history/?{window(since=2.5, until=5)}").json()
    assert [entry["uid"] for entry in answer["objects"]] == ["second"]
    exactly = reader.get(f"/api/v1/nodes/east/n1/history/?{window(since=2, until=5)}").json()
    assert [entry["uid"] for entry in exactly["objects"]] == ["first", "second"]


def test_revisions_are_of_both_objects_each_with_its_uid(reader: Any, recreated: None) -> None:
    rows = reader.get("/api/v1/nodes/east/n1/revisions/").json()["results"]
    assert [row["uid"] for row in rows] == ["second", "first", "first"]
    other = reader.get("/api/v1/nodes/east/n2/revisions/").json()["results"]
    assert {row["uid"] for row in other} == {"uid-n2"}


def test_the_page_names_both_objects(reader: Any, recreated: None) -> None:
    at = (T0 + timedelta(hours=3.5)).isoformat().replace("+00:00", "Z")
    page = " ".join(reader.get("/nodes/east/n1/", {"at": at}).content.decode().split())
    assert "2 node objects had this name" in page
    assert "node objects had this name" not in reader.get("/nodes/east/n2/", {"at": at}).content.decode()
