"""A node's past, put together from its periods."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.models import FindingRow, Node, NodeRevision, RungPeriod, VerdictPeriod
from fleet.selectors.history.node_history import node_at, node_diff, node_timeline
from tests.factories import NOON, a_cluster, a_node

pytestmark = pytest.mark.django_db


def minute(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def a_verdict(node: Node, start: float, end: float | None, verdict: str = "ready", **fields: Any) -> VerdictPeriod:
    period = (minute(start), None if end is None else minute(end))
    return VerdictPeriod.objects.create(node=node, period=period, verdict=verdict, **fields)


def a_rung(node: Node, rung: str, start: float, end: float | None, status: str = "pass") -> RungPeriod:
    return RungPeriod.objects.create(
        node=node, rung=rung, period=(minute(start), None if end is None else minute(end)), status=status
    )


def a_revision(node: Node, start: float, end: float | None, **labels: str) -> NodeRevision:
    period = (minute(start), None if end is None else minute(end))
    changes = [] if start == 0 else [{"section": "labels", "key": key, "before": None, "after": labels[key]} for key in labels]
    return NodeRevision.objects.create(node=node, period=period, facts={"labels": labels}, changes=changes)


def a_finding(node: Node, start: float, end: float | None, rule: str = "xid") -> FindingRow:
    period = (minute(start), None if end is None else minute(end))
    return FindingRow.objects.create(
        cluster=node.cluster, node=node, rule=rule, severity="critical", text="Xid 79.", period=period
    )


@pytest.fixture
def story() -> Node:
    """Joined at noon, ready; driver relabelled and broken at 10; Xid from 12 to 18; good again at 20."""
    node = a_node("n1", first_seen_at=NOON, rungs=[{"id": "kubelet_ready"}, {"id": "driver_loaded"}])
    a_verdict(node, 0, 10)
    a_verdict(node, 10, 20, "not_ready", broken_rung="driver_loaded", reason="The driver pod fails.", usable=0, expected=8)
    a_verdict(node, 20, None)
    a_rung(node, "driver_loaded", 0, 10)
    a_rung(node, "driver_loaded", 10, 20, "fail")
    a_rung(node, "driver_loaded", 20, None)
    a_rung(node, "kubelet_ready", 0, None)
    a_revision(node, 0, 10, driver="570")
    a_revision(node, 10, None, driver="580")
    a_finding(node, 12, 18)
    return node


def test_a_moment_shows_what_stood_then(story: Node) -> None:
    then = node_at("east", "n1", minute(15))
    assert then is not None
    assert then.verdict is not None
    assert (then.verdict.verdict, then.verdict.broken_rung) == ("not_ready", "driver_loaded")
    assert [(rung.rung, rung.status) for rung in then.rungs] == [("kubelet_ready", "pass"), ("driver_loaded", "fail")]
    assert [finding.rule for finding in then.findings] == ["xid"]
    assert then.facts["labels"] == {"driver": "580"}
    assert (then.before, then.after) == (minute(10), minute(20))


def test_a_period_holds_from_its_first_moment_and_not_at_its_last(story: Node) -> None:
    at_start, at_end = node_at("east", "n1", minute(12)), node_at("east", "n1", minute(18))
    assert at_start is not None
    assert at_end is not None
    assert len(at_start.findings) == 1
    assert at_end.findings == ()


@pytest.mark.parametrize("at", [-1, -1_000_000])
def test_before_it_came_there_was_no_node(story: Node, at: float) -> None:
    assert node_at("east", "n1", minute(at)) is None


def test_a_name_means_the_node_that_bore_it_then(story: Node) -> None:
    Node.objects.filter(pk=story.pk).update(removed_at=minute(30))
    NodeRevision.objects.filter(node=story, period__endswith__isnull=True).update(period=(minute(10), minute(30)))
    recreated = a_node("n1", first_seen_at=minute(40))
    a_revision(recreated, 40, None, driver="590")
    assert node_at("east", "n1", minute(35)) is None
    old, new = node_at("east", "n1", minute(25)), node_at("east", "n1", minute(45))
    assert old is not None
    assert new is not None
    assert (old.node, new.node) == (story, recreated)
    assert new.verdict is None
    assert node_diff("east", "n1", minute(25), minute(45)).other_node


def test_the_diff_names_facts_verdict_rungs_and_findings(story: Node) -> None:
    result = node_diff("east", "n1", minute(5), minute(15))
    assert result.facts == ({"section": "labels", "key": "driver", "before": "570", "after": "580"},)
    assert result.verdict_changed
    assert [(rung.rung, rung.before and rung.before.status, rung.after and rung.after.status) for rung in result.rungs] == [
        ("driver_loaded", "pass", "fail")
    ]
    assert [item.rule for item in result.opened] == ["xid"]
    assert [entry.rule for entry in node_diff("east", "n1", minute(15), minute(25)).resolved] == ["xid"]
    same = node_diff("east", "n1", minute(1), minute(2))
    assert (same.facts, same.verdict_changed, same.rungs, same.opened) == ((), False, (), ())


def test_a_window_shows_all_that_touches_it(story: Node) -> None:
    result = node_timeline(story, minute(11), minute(19))
    assert [verdict.verdict for verdict in result.verdicts] == ["not_ready"]
    assert [(rung.rung, rung.status) for rung in result.rungs] == [("kubelet_ready", "pass"), ("driver_loaded", "fail")]
    assert len(result.findings) == 1
    assert result.changes == ()
    whole = node_timeline(story, minute(-5), minute(60))
    assert [item.verdict for item in whole.verdicts] == ["ready", "not_ready", "ready"]
    assert [change.at for change in whole.changes] == [minute(0), minute(10)]
    edge = node_timeline(story, minute(20), minute(21))
    assert [entry.since for entry in edge.verdicts] == [minute(20)]


def test_a_long_history_costs_no_more_queries(story: Node) -> None:
    with CaptureQueriesContext(connection) as few:
        node_at("east", "n1", minute(15))
    for number in range(30, 60):
        VerdictPeriod.objects.filter(node=story, period__endswith__isnull=True).update(
            period=(minute(number - 1), minute(number))
        )
        a_verdict(story, number, None)
    with CaptureQueriesContext(connection) as many:
        node_at("east", "n1", minute(15))
    assert len(few) == len(many)


def test_other_nodes_and_clusters_stay_out(story: Node) -> None:
    other = a_node("n1", cluster=a_cluster("west", read_at=NOON), first_seen_at=NOON)
    a_revision(other, 0, None, driver="1")
    then = node_at("west", "n1", minute(15))
    assert then is not None
    assert then.verdict is None
    assert then.findings == ()
