"""What a run writes into the outbox, and what becomes of it when the grace is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet.models import Cluster, FindingRow, Node, Notice, VerdictPeriod
from fleet.services import outbox
from fleet.services.notifications import grace
from fleet.services.recording import run_events
from tests.factories import NOON, a_cluster, a_critical_finding, a_node, a_spell

pytestmark = pytest.mark.django_db


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Story:
    """One node whose verdict turns; each turn is recorded as its pass would."""

    def __init__(self, cluster: Cluster | None = None) -> None:
        self.cluster = cluster or a_cluster()
        self.node: Node = a_node("n1", self.cluster)
        self.turn(-3600, "ready")

    def turn(self, seconds: float, verdict: str | None, **fields: Any) -> None:
        moment = at(seconds)
        for present in VerdictPeriod.objects.filter(node=self.node, period__endswith__isnull=True):
            present.period = (present.period.lower, moment)
            present.save()
        if verdict:
            a_spell(self.node, verdict, moment, **fields)
        self.passes(seconds)

    def passes(self, seconds: float) -> None:
        run_events.record(self.cluster, at(seconds))
        Cluster.objects.filter(pk=self.cluster.pk).update(taken_at=at(seconds))


def written() -> list[tuple[float, bool, str]]:
    return [((n.at - NOON).total_seconds(), n.recovery, n.title) for n in Notice.objects.order_by("at")]


def settled(seconds: float) -> list[str]:
    """Titles of the bad verdicts that are news at that moment; they count as matched from then on."""
    ids = grace.settle(at(seconds))
    Notice.objects.filter(pk__in=ids).update(matched_at=at(seconds))
    return list(Notice.objects.filter(pk__in=ids).order_by("at").values_list("title", flat=True))


def test_a_node_out_of_ready_is_news_when_the_grace_is_over_and_not_before() -> None:
    story = Story()
    story.turn(0, "not_ready", reason="The device plugin is away.", remedy="Look at its pod.")
    assert settled(179) == []
    story.passes(180)
    assert settled(181) == ["n1 is not ready"]
    notice = Notice.objects.get()
    assert notice.text == "The device plugin is away.\nLook at its pod."
    assert (notice.at, notice.severity, notice.node, notice.product) == (NOON, "critical", story.node, story.node.product)


def test_a_pass_on_its_way_may_still_say_that_it_was_well() -> None:
    """The dispatcher looks after the grace, but the newest pass on record is older than that."""
    story = Story()
    story.turn(0, "not_ready")
    story.passes(150)
    assert settled(185) == []
    story.turn(175, "ready")
    assert settled(190) == []
    story.passes(235)
    assert settled(240) == []
    assert written() == []


def test_without_a_run_it_is_notified_when_the_verdict_would_turn_unknown(settings: Any) -> None:
    story = Story()
    story.turn(0, "not_ready")
    wait = 180 + settings.STALE_AFTER.total_seconds()
    assert settled(wait - 1) == []
    assert settled(wait) == ["n1 is not ready"]


def test_a_recovery_is_notified_where_the_failure_was() -> None:
    story = Story()
    story.turn(0, "not_ready")
    story.turn(60, "ready")
    assert written() == [(0, False, "n1 is not ready")], "as long as it is undecided it may stand"
    story.turn(300, "not_ready")
    story.turn(900, "degraded")
    assert written()[1:] == [(300, False, "n1 is not ready"), (900, True, "n1 is usable again, though degraded")]
    assert settled(1000) == ["n1 is not ready"]
    assert [row[0] for row in written()] == [300, 900], "the short one was no news and is gone"
    recovery = Notice.objects.get(recovery=True)
    assert recovery.text == "It was not ready for 10 min."
    assert recovery.key == Notice.objects.get(recovery=False).key


def test_starting_and_excluded_are_no_bad_news_and_no_good_ones() -> None:
    story = Story()
    for seconds, verdict in ((0, "starting"), (600, "ready"), (1200, "excluded"), (9000, "ready")):
        story.turn(seconds, verdict)
    assert written() == []


def test_a_recovery_through_a_boot_is_notified_once_ready() -> None:
    story = Story()
    story.turn(0, "not_ready")
    story.turn(600, "starting")
    assert [row[1] for row in written()] == [False]
    story.turn(900, "ready")
    story.turn(1000, "degraded")
    assert [row for row in written() if row[1]] == [(900, True, "n1 is ready again")]


def test_another_reason_or_rung_is_no_second_notice() -> None:
    story = Story()
    story.turn(0, "not_ready", reason="a")
    story.turn(60, "not_ready", reason="b")
    assert len(written()) == 1


def test_unknown_then_broken_within_the_grace_notifies_the_last() -> None:
    story = Story()
    story.turn(0, "unknown")
    story.turn(30, "not_ready", reason="No driver.")
    story.passes(240)
    assert settled(240) == ["n1 is not ready"]
    result = Notice.objects.get()
    assert (result.text, result.detail["verdict"], result.severity) == ("No driver.", "not_ready", "critical")


def test_a_bad_node_that_leaves_closes_its_case() -> None:
    story = Story()
    story.turn(0, "not_ready")
    story.turn(600, None)
    assert written()[-1] == (600, True, "n1 has left east")


def test_a_good_node_that_leaves_is_no_news() -> None:
    story = Story()
    story.turn(600, None)
    assert written() == []


def test_a_repeated_pass_writes_nothing_twice() -> None:
    story = Story()
    story.turn(0, "not_ready")
    a_critical_finding(story.node, NOON)
    for _ in range(3):
        run_events.record(story.cluster, NOON)
    assert Notice.objects.count() == 2


def test_other_clusters_are_left_alone() -> None:
    Story(a_cluster("west")).turn(0, "not_ready")
    Notice.objects.all().delete()
    run_events.record(a_cluster("east"), NOON)
    assert written() == []


def test_findings_open_and_resolve() -> None:
    node = a_node("n1")
    row = a_critical_finding(node, NOON, text="Xid 79 on GPU 5.", severity="fatal", rule="xid", key="GPU-5")
    run_events.record(node.cluster, NOON)
    row.period = (NOON, at(60))
    row.save()
    run_events.record(node.cluster, at(60))
    opened, resolved = Notice.objects.order_by("at")
    assert (opened.title, opened.text, opened.severity) == ("n1: Xid 79 on GPU 5.", "Mend it.", "fatal")
    assert (resolved.title, resolved.recovery) == ("n1: resolved: Xid 79 on GPU 5.", True)
    assert opened.key == resolved.key
    assert opened.detail["rule"] == "xid"


def test_a_finding_of_the_whole_cluster() -> None:
    row = a_critical_finding(cluster=a_cluster(), subject="cluster", text="No exporter answers.")
    run_events.record(row.cluster, NOON)
    assert Notice.objects.get().title == "east: No exporter answers."


@pytest.mark.parametrize(
    ("before", "after", "events"), [("warning", "fatal", 1), ("fatal", "warning", 0), ("warning", "warning", 0)]
)
def test_a_finding_that_changes_is_news_only_when_it_gets_worse(before: str, after: str, events: int) -> None:
    node = a_node()
    a_critical_finding(node, at(-60), NOON, severity=before)
    a_critical_finding(node, NOON, severity=after)
    run_events.record(node.cluster, NOON)
    assert [notice.recovery for notice in Notice.objects.all()] == [False] * events


def test_the_outbox_costs_a_constant_number_of_queries(django_assert_max_num_queries: Any) -> None:
    cluster = a_cluster()
    with django_assert_max_num_queries(4):
        run_events.record(cluster, NOON)
    for number in range(20):
        node = a_node(f"n{number}", cluster)
        a_spell(node, "not_ready", at(-600), NOON)
        a_spell(node, "ready", NOON)
        outbox.add("verdict", f"node:{node.pk}", at(-600), "bad", node=node, detail={"verdict": "not_ready"})
        a_critical_finding(node, NOON)
    with django_assert_max_num_queries(8):
        run_events.record(cluster, NOON)
    assert Notice.objects.filter(recovery=True).count() == 20
    assert FindingRow.objects.count() == Notice.objects.filter(kind="finding").count()


class Reading:
    """A cluster and how its passes go, as record_reading leaves it."""

    def __init__(self) -> None:
        self.cluster = a_cluster(read_at=at(-30))

    def passed(self, seconds: float, ok: bool) -> None:
        before = self.cluster.failing_since
        self.cluster.failing_since = None if ok else (before or at(seconds))
        self.cluster.error = "" if ok else "No answer after 10 s."
        run_events.record_reachability(self.cluster, before, at(seconds))


def test_an_unreachable_cluster_is_notified_once_and_so_is_its_recovery(settings: Any) -> None:
    reading = Reading()
    long = settings.STALE_AFTER.total_seconds()
    for seconds in (0, 60, long - 1):
        reading.passed(seconds, ok=False)
    assert written() == []
    reading.passed(long, ok=False)
    reading.passed(long + 60, ok=False)
    reading.passed(long + 120, ok=True)
    reading.passed(long + 180, ok=True)
    assert written() == [(0, False, "Cluster east is unreachable"), (long + 120, True, "Cluster east is reachable again")]
    assert "No answer after 10 s." in Notice.objects.get(recovery=False).text


@pytest.mark.parametrize(("verdict", "news"), [("unknown", []), ("not_ready", ["n1 is not ready"])])
def test_nodes_of_an_unreachable_cluster_are_notified_as_the_cluster(verdict: str, news: list[str]) -> None:
    story = Story()
    outbox.add("cluster", f"cluster:{story.cluster.pk}", at(-900), "silent", cluster=story.cluster)
    story.turn(0, verdict)
    story.passes(600)
    assert settled(600) == news
    outbox.add("cluster", f"cluster:{story.cluster.pk}", at(700), "back", cluster=story.cluster, recovery=True)
    story.turn(700, "ready")
    story.turn(1000, "unknown")
    story.passes(2000)
    assert settled(2000)[-1] == "n1 is unknown: its readiness cannot be determined"


def test_a_short_silence_is_no_news() -> None:
    reading = Reading()
    reading.passed(0, ok=False)
    reading.passed(60, ok=True)
    assert written() == []


def test_other_services_add_what_they_have_to_say() -> None:
    for _ in range(2):
        outbox.add("request", "request:7", NOON, "x" * 400, "Team vision asks for 4 replicas.", severity="info", pool="h100")
    result = Notice.objects.get()
    assert (len(result.title), result.pool, result.matched_at) == (300, "h100", None)
