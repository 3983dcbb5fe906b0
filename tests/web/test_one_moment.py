"""No page says two things: between any two of its queries a run commits, and its figures still agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from fleet.models import Node, Role
from fleet.services import pools
from tests.factories import a_cluster, a_node, a_resource, a_user
from tests.services.test_pools import a_spec

pytestmark = pytest.mark.django_db(transaction=True)
WELL = {"verdict": "ready", "usable": 8}
BROKEN = {"verdict": "not_ready", "usable": 0, "broken_rung": "driver_loaded"}


@pytest.fixture
def reader() -> Client:
    """An operator, over two clusters with a pool."""
    for name in ("east", "west"):
        for number in range(3):
            a_resource(a_node(f"{name}-{number}", a_cluster(name), **WELL))
    operator = a_user("otto", Role.OPERATOR)
    pools.save(operator, a_spec(), timezone.now())
    client = Client()
    client.force_login(operator)
    return client


@contextmanager
def runs_that_commit() -> Iterator[Callable[[], int]]:
    """Commits, on another connection, a node more and another verdict of all before each query; returns how often."""
    committed = 0
    with ThreadPoolExecutor(1) as other:

        def run() -> None:
            a_resource(a_node("", a_cluster("east"), **WELL))
            Node.objects.update(**(BROKEN if committed % 2 else WELL))

        def between(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal committed
            result = execute(sql, params, many, context)
            committed += 1
            other.submit(run).result()
            return result

        with connection.execute_wrapper(between):
            yield lambda: committed
        other.submit(lambda: connection.close()).result()


def figures(client: Client, path: str) -> Any:
    with runs_that_commit() as committed:
        answer = client.get(path)
    assert answer.status_code == 200
    assert committed() > 10
    return answer.context


def nav(context: Any) -> dict[str, int | None]:
    return {item["label"]: item["count"] for item in context["nav"]}


@pytest.mark.parametrize("by", ["pool", "cluster", "product", "mode"])
def test_number_clusters_map_ladder_and_modes_of_fleet_add_up(reader: Client, by: str) -> None:
    context = figures(reader, f"/?by={by}")
    summary = context["summary"]
    assert sum(row.usable or 0 for row in context["clusters"]) == summary.usable
    assert sum(row.nodes for row in context["clusters"]) == summary.nodes
    assert sum(group.usable for group in context["groups"]) == summary.usable
    assert sum(group.expected for group in context["groups"]) == summary.expected
    assert sum(mode.nodes for mode in context["summary"].modes) == summary.nodes
    assert sum(len(group.tiles) for group in context["groups"]) == summary.nodes
    funnel = context["funnel"]
    assert funnel.counted + funnel.excluded + funnel.unjudged == summary.nodes
    assert nav(context)["Nodes"] == summary.nodes
    assert nav(context)["Findings"] == (context["incidents_total"] or None)


def test_a_list_counts_what_the_navigation_counts(reader: Client) -> None:
    context = figures(reader, "/nodes/")
    assert context["page"].paginator.count == nav(context)["Nodes"]
    rows = figures(reader, "/clusters/")
    assert (len(rows["rows"]), sum(row.nodes for row in rows["rows"])) == (nav(rows)["Clusters"], nav(rows)["Nodes"])
    listed = figures(reader, "/pools/")
    assert len(listed["rows"]) == nav(listed)["Pools"]
