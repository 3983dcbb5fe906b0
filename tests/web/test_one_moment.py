"""No page says two things: between any two of its queries a run commits, and its figures still agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F, Func, Value
from django.test import Client
from django.utils import timezone

from fleet.models import FindingRow, Node, Role
from fleet.services import pools
from tests.factories import a_cluster, a_finding, a_node, a_resource, a_user, a_verdict_period
from tests.services.test_pools import a_spec

pytestmark = pytest.mark.django_db(transaction=True)
WELL = {"verdict": "ready", "usable": 8}
BROKEN = {"verdict": "not_ready", "usable": 0, "broken_rung": "driver_loaded"}


@pytest.fixture
def reader() -> Client:
    """An operator, over two clusters with a pool; a finding of a node is an incident that every run changes."""
    for name in ("east", "west"):
        for number in range(3):
            node = a_node(f"{name}-{number}", a_cluster(name), **WELL)
            a_resource(node)
            a_verdict_period(node, timezone.now() - timedelta(hours=3))
    operator = a_user("otto", Role.OPERATOR)
    pools.save(operator, a_spec(), timezone.now())
    a_finding(Node.objects.get(name="east-0"), "gpu_lost", severity="critical")
    client = Client()
    client.force_login(operator)
    return client


@contextmanager
def runs_that_commit() -> Iterator[Callable[[], int]]:
    """Commits a run on another connection before each query; returns how often.

    Each adds a node with a finding, which joins the incident, and then either all nodes are broken and each has its finding, or
    none is and no finding is open.
    """
    committed = 0
    with ThreadPoolExecutor(1) as other:

        def run() -> None:
            with transaction.atomic():
                node = a_node("", a_cluster("east"), **WELL)
                a_resource(node)
                a_verdict_period(node, timezone.now() - timedelta(hours=2))
                incident = FindingRow.objects.get(pk=F("incident"), node__name="east-0")
                a_finding(node, "gpu_lost", severity="critical", incident=incident)
                Node.objects.update(**(BROKEN if committed % 2 else WELL))
                end = None if committed % 2 else timezone.now()
                FindingRow.objects.update(period=Func(F("period__startswith"), Value(end), function="tstzrange"))

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


@pytest.mark.parametrize("by", ["pool", "cluster", "product", "mode", "team"])
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


def facet(context: Any, name: str) -> dict[str, int]:
    return {row.value: row.count for row in next(row for row in context["facets"] if row.name == name).values}


def test_incidents_and_findings_are_counted_once(reader: Client) -> None:
    context = figures(reader, "/incidents/")
    totals, (shown, *_) = context["totals"], context["shows"]
    assert totals.total == shown["count"] == context["page"].paginator.count == (nav(context)["Findings"] or 0)
    assert totals.findings == context["findings_total"] == sum(len(row.findings) for row in context["page"].object_list)
    assert sum(facet(context, "severity").values()) == totals.total
    listed = figures(reader, "/findings/")
    counts = [listed["total"], listed["page"].paginator.count, facet(listed, "status")["open"]]
    assert {*counts, sum(facet(listed, "severity").values())} == {listed["total"]}
    by_rule = figures(reader, "/findings/?by=rule&window=24h")
    assert sum(row.count for row in by_rule["rules"]) == by_rule["total"] == sum(facet(by_rule, "cluster").values())


def test_an_incident_and_its_findings_are_of_one_moment(reader: Client) -> None:
    context = figures(reader, f"/incidents/{FindingRow.objects.earliest('pk').pk}/")
    row = context["row"]
    assert len(context["rows"]) == len(row.findings) == row.node_count
    assert (row.status == "open") == (context["rows"][0].finding.period.upper is None)
    assert {place.verdict for place in row.nodes} == {"not_ready" if row.status == "open" else "ready"}


def test_a_node_is_not_ready_while_it_has_its_finding(reader: Client) -> None:
    context = figures(reader, "/nodes/east/east-0/")
    is_broken = context["node"].figures.verdict == "not_ready"
    assert is_broken == bool(context["findings"]) == (context["incident"] is not None)


def test_pool_cluster_and_history_count_the_nodes_that_the_navigation_counts(reader: Client) -> None:
    pool = figures(reader, "/pools/h100/")
    row = pool["row"]
    assert sum(row.by_verdict.values()) == row.nodes
    assert {node.figures.verdict for node in pool["members"]} == row.by_verdict.keys()
    cluster = figures(reader, "/clusters/east/")
    assert cluster["row"].nodes + 3 == nav(cluster)["Nodes"]
    history = figures(reader, "/history/?by=cluster&window=24h")
    assert sum(row.nodes for row in history["rows"]) == nav(history)["Nodes"]
    assert {row.name for row in history["rows"]} == {*history["scopes"]}
