"""Watches: changes in order, selections that objects enter and leave, bookmarks, a past that is forgotten."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.conftest import Client
from tests.simulator.shapes import differences, recorded, shape


def _while(client: Client, happens: Callable[[], None], path: str = "/api/v1/nodes", **params: Any) -> list[dict[str, Any]]:
    """What a watch from now on sees of what happens a moment later."""
    version = client.get("/api/v1/nodes", limit=1)["metadata"]["resourceVersion"]
    timer = threading.Timer(0.2, happens)
    timer.start()
    try:
        return client.lines(path, resourceVersion=version, timeoutSeconds=1, **params)
    finally:
        timer.join()


def _short(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["type"], line["object"]["metadata"].get("name", "")) for line in lines]


def test_changes_arrive_in_order(own: Client) -> None:
    cluster = own.simulation.fleet["prod-us-east"]

    def happens() -> None:
        cluster.add_node("h100", name="n1")
        cluster.cordon("n1")
        cluster.remove_node("n1")

    lines = _while(own, happens)
    assert _short(lines) == [("ADDED", "n1"), ("MODIFIED", "n1"), ("DELETED", "n1")]
    versions = [int(line["object"]["metadata"]["resourceVersion"]) for line in lines]
    assert versions == sorted(set(versions))
    assert lines[1]["object"]["spec"]["unschedulable"] is True
    assert {line["object"]["kind"] for line in lines} == {"Node"}


def test_an_object_that_leaves_the_selection_is_deleted(own: Client) -> None:
    cluster = own.simulation.fleet["prod-us-east"]
    cluster.add_node("h100", name="n1")

    def happens() -> None:
        cluster.set_label("n1", "rec", "yes")
        cluster.set_label("n1", "other", "1")
        cluster.set_label("n1", "rec", "no")
        cluster.set_label("n1", "rec", "yes")

    lines = _while(own, happens, labelSelector="rec=yes")
    assert [line["type"] for line in lines] == ["ADDED", "MODIFIED", "DELETED", "ADDED"]


def test_the_history_since_a_version_comes_first(own: Client) -> None:
    cluster = own.simulation.fleet["prod-us-east"]
    version = own.get("/api/v1/nodes", limit=1)["metadata"]["resourceVersion"]
    cluster.add_node("h100", name="n1")
    lines = own.lines("/api/v1/nodes", resourceVersion=version, timeoutSeconds=1)
    assert _short(lines) == [("ADDED", "n1")]


def test_pods_of_one_namespace_only(own: Client) -> None:
    cluster = own.simulation.fleet["prod-us-east"]
    node = cluster.add_node("h100", name="n1")
    made: list[str] = []
    lines = _while(own, lambda: made.append(cluster.add_pod(node.name).key), "/api/v1/namespaces/gpu-operator/pods")
    assert (len(made), lines) == (1, [])
    lines = _while(own, lambda: made.append(cluster.add_pod(node.name).key), "/api/v1/pods")
    assert [f"{line['object']['metadata']['namespace']}/{line['object']['metadata']['name']}" for line in lines] == [made[1]]


def test_bookmarks_at_the_end_when_allowed(own: Client) -> None:
    without = own.lines(
        "/api/v1/nodes", resourceVersion=own.get("/api/v1/nodes")["metadata"]["resourceVersion"], timeoutSeconds=1
    )
    assert without == []
    lines = _while(own, lambda: None, allowWatchBookmarks="true")
    assert [line["type"] for line in lines] == ["BOOKMARK"]
    real = recorded("watch_nodes_all_types")["lines"][-1]
    assert differences(shape([json.loads(real)]), shape(lines)) == []


def test_the_initial_list_ends_with_a_marked_bookmark(us_east: Client) -> None:
    lines = us_east.lines(
        "/api/v1/nodes",
        sendInitialEvents="true",
        allowWatchBookmarks="true",
        resourceVersionMatch="NotOlderThan",
        timeoutSeconds=1,
    )
    kinds = [line["type"] for line in lines]
    count = len(us_east.get("/api/v1/nodes")["items"])
    assert kinds[: count + 1] == ["ADDED"] * count + ["BOOKMARK"]
    assert lines[count]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_forgotten_past_is_an_error_line(us_east: Client) -> None:
    lines = us_east.lines("/api/v1/nodes", resourceVersion=2, timeoutSeconds=3)
    real = json.loads(recorded("err_410_watch_old_rv")["lines"][0])
    assert len(lines) == 1
    assert differences(shape([real]), shape(lines)) == []
    assert (lines[0]["type"], lines[0]["object"]["code"], lines[0]["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_a_past_that_was_compacted_is_an_error_line(own: Client) -> None:
    cluster = own.simulation.fleet["prod-us-east"]
    version = own.get("/api/v1/nodes", limit=1)["metadata"]["resourceVersion"]
    cluster.add_node("h100", name="n1")
    cluster.compact()
    lines = own.lines("/api/v1/nodes", resourceVersion=version, timeoutSeconds=3)
    assert [line["type"] for line in lines] == ["ERROR"]


@pytest.mark.parametrize("seconds", [1])
def test_a_future_version_is_silent_until_the_timeout(us_east: Client, seconds: int) -> None:
    began = time.monotonic()
    assert us_east.lines("/api/v1/nodes", resourceVersion=999999999, timeoutSeconds=seconds) == []
    assert time.monotonic() - began >= seconds * 0.9
