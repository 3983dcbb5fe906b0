"""Events and rules: which targets are notified, in which message, and when."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection

from fleet.models import Delivery, DeliveryItem, Notice, Silence
from fleet.services import locks
from fleet.services.notifications import match as matching
from fleet.services.notifications.match import match
from tests.factories import NOON, a_cluster, a_delivery, a_node, a_notice, a_pool, a_rule, a_spell

pytestmark = pytest.mark.django_db
EXPIRES = NOON + timedelta(days=7)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def messages() -> list[list[str]]:
    """Titles of each delivery, oldest first."""
    return [[item.notice.title for item in delivery.items.all()] for delivery in Delivery.objects.order_by("pk")]


@pytest.mark.parametrize(
    ("scope", "fits"),
    [
        ({}, True),
        ({"clusters": ["east"]}, True),
        ({"clusters": ["west"]}, False),
        ({"pools": ["h100"]}, True),
        ({"pools": ["other"]}, False),
        ({"products": ["NVIDIA-H100-80GB-HBM3"]}, True),
        ({"products": ["Tesla-T4"]}, False),
        ({"kinds": ["finding"]}, True),
        ({"kinds": ["verdict", "cluster"]}, False),
        ({"min_severity": "critical"}, True),
        ({"min_severity": "fatal"}, False),
        ({"clusters": ["east"], "products": ["Tesla-T4"]}, False),
        ({"enabled": False}, False),
    ],
)
def test_scope_kind_and_severity(scope: dict[str, Any], fits: bool) -> None:
    a_rule(**scope)
    a_notice(node=a_node(), pool="h100")
    match(NOON)
    assert Delivery.objects.exists() == fits


def test_every_pool_that_a_node_was_in_hears_of_it() -> None:
    """A figure of the node counts for one of its pools only; its faults concern all of them."""
    node = a_node()
    for slug, since in (("first", -3600), ("second", -3600), ("later", 60)):
        a_pool(slug, node, since=at(since))
    for slug in ("first", "second", "later"):
        a_rule(name=slug, pools=[slug])
    a_notice(node=node, pool="first", at=NOON)
    match(NOON)
    assert sorted(Delivery.objects.values_list("rule__name", flat=True)) == ["first", "second"]


def test_a_rule_for_a_cluster_or_product_hears_nothing_without_one() -> None:
    a_rule(clusters=["east"])
    a_rule(products=["Tesla-T4"])
    a_notice("request")
    match(NOON)
    assert not Delivery.objects.exists()


def test_severity_is_asked_of_findings_only() -> None:
    a_rule(min_severity="fatal")
    a_notice("cluster", severity="critical")
    match(NOON)
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(("verdicts", "fits"), [([], True), (["not_ready"], True), (["unknown"], False)])
def test_verdicts(verdicts: list[str], fits: bool) -> None:
    a_rule(verdicts=verdicts)
    node = a_node(cluster=a_cluster(taken_at=at(600)))
    a_spell(node, "not_ready", NOON)
    a_notice("verdict", NOON, node=node, detail={"verdict": "not_ready"})
    match(at(600))
    assert Delivery.objects.exists() == fits


def test_an_undecided_verdict_waits_and_holds_nothing_else_up() -> None:
    a_rule()
    node = a_node(cluster=a_cluster(taken_at=NOON))
    a_spell(node, "not_ready", NOON)
    waiting = a_notice("verdict", NOON, node=node, detail={"verdict": "not_ready"})
    a_notice("finding", NOON, title="other")
    assert match(at(10)) == 1
    assert messages() == [["other"]]
    waiting.refresh_from_db()
    assert waiting.matched_at is None


def test_each_notice_is_matched_once_and_by_every_rule() -> None:
    a_rule()
    a_rule()
    a_notice()
    assert match(NOON) == 1
    assert match(at(10)) == 0
    assert Delivery.objects.count() == 2


def test_without_rules_notices_are_done_with() -> None:
    a_notice()
    assert match(NOON) == 1
    assert Notice.objects.get().matched_at == NOON


def test_what_happens_within_the_window_goes_out_together() -> None:
    rule = a_rule(group_s=60)
    a_notice(title="one")
    match(NOON)
    a_notice(title="two")
    match(at(59))
    a_notice(title="three")
    match(at(60))
    assert messages() == [["one", "two"], ["three"]]
    assert [delivery.due_at for delivery in Delivery.objects.order_by("pk")] == [at(60), at(120)]
    assert set(Delivery.objects.values_list("rule_name", flat=True)) == {rule.name}


def test_a_message_that_was_tried_takes_no_company() -> None:
    rule = a_rule(group_s=60)
    a_delivery(rule, due_at=at(50), tries=1)
    a_notice(title="new")
    match(NOON)
    assert messages() == [[], ["new"]]


def test_grouping_is_by_rule() -> None:
    for _ in range(2):
        a_rule(group_s=60)
    a_notice(title="a")
    a_notice(title="b")
    match(NOON)
    assert messages() == [["a", "b"], ["a", "b"]]


@pytest.mark.parametrize(
    ("quiet", "clock", "until"),
    [
        ((time(22), time(7)), "23:30", "07:00+1"),
        ((time(22), time(7)), "06:59", "07:00"),
        ((time(22), time(7)), "07:00", None),
        ((time(22), time(7)), "21:59", None),
        ((time(11), time(13)), "12:00", "13:00"),
        ((time(12), time(12)), "12:00", None),
        ((None, None), "03:00", None),
    ],
)
def test_quiet_time(quiet: tuple[time | None, time | None], clock: str, until: str | None) -> None:
    rule = a_rule(quiet_from=quiet[0], quiet_until=quiet[1])
    hour, minute = map(int, clock.split(":"))
    now = NOON.replace(hour=hour, minute=minute)
    expected = None
    if until:
        text, _, days = until.partition("+")
        expected = now.replace(hour=int(text[:2]), minute=int(text[3:])) + timedelta(days=int(days or 0))
    assert matching.quiet_until(rule, a_notice(severity="critical"), now) == expected
    assert matching.quiet_until(rule, a_notice(severity="fatal"), now) is None


def test_at_night_only_the_fatal_goes_out_and_the_rest_is_one_message_in_the_morning() -> None:
    a_rule(quiet_from=time(11), quiet_until=time(18), group_s=60)
    for number, severity in enumerate(("critical", "fatal", "warning")):
        a_notice(title=severity, severity=severity)
        match(at(600 * number))
    assert messages() == [["critical", "warning"], ["fatal"]]
    assert [item.due_at for item in Delivery.objects.order_by("pk")] == [NOON.replace(hour=18), at(660)]


def test_recoveries_go_where_the_news_went() -> None:
    rule = a_rule("matching")
    a_rule("none", recoveries=False)
    a_notice(key="k", title="bad")
    match(NOON)
    a_rule("new")
    a_notice(key="k", at=at(60), title="good", recovery=True)
    a_notice(key="other", at=at(60), title="without an event", recovery=True)
    match(at(60))
    assert [row.title for row in Notice.objects.filter(items__rule=rule)] == ["bad", "good"]
    assert DeliveryItem.objects.filter(notice__recovery=True).count() == 1


def test_a_repeated_event_waits_and_is_sent_if_it_lasts() -> None:
    a_rule(repeat_s=3600)
    a_notice(key="k", title="first")
    match(NOON)
    a_notice(key="k", at=at(600), title="again")
    match(at(600))
    first, again = Delivery.objects.order_by("pk")
    assert (first.due_at, first.held) == (NOON, False)
    assert (again.due_at, again.held, again.state) == (at(3600), True, "waiting")


def test_a_repeated_event_is_not_sent_if_it_recovers() -> None:
    a_rule(repeat_s=3600)
    for seconds in (0, 600, 1200):
        a_notice(key="k", at=at(seconds), title=f"bad {seconds}")
        match(at(seconds))
        a_notice(key="k", at=at(seconds + 60), title=f"good {seconds}", recovery=True)
        match(at(seconds + 60))
    states = {delivery.items.get().notice.title: delivery.state for delivery in Delivery.objects.all()}
    assert states == {"bad 0": "waiting", "good 0": "waiting", "bad 600": "suppressed", "bad 1200": "suppressed"}
    assert "recovered before it was due" in Delivery.objects.filter(state="suppressed")[0].error


def test_after_the_pause_the_same_news_is_news() -> None:
    a_rule(repeat_s=3600)
    for seconds in (0, 3600):
        a_notice(key="k", at=at(seconds))
        match(at(seconds))
    assert not Delivery.objects.filter(held=True).exists()


def test_a_held_event_that_was_sent_has_its_recovery_sent() -> None:
    a_rule(repeat_s=3600)
    for seconds in (0, 600):
        a_notice(key="k", at=at(seconds))
        match(at(seconds))
    Delivery.objects.filter(held=True).update(state="sent", tries=1)
    a_notice(key="k", at=at(4000), title="good", recovery=True)
    match(at(4000))
    assert messages()[-1] == ["good"]


@pytest.mark.parametrize(
    ("silence", "is_delivered"),
    [
        ({}, False),
        ({"key": "GPU-5"}, False),
        ({"key": "GPU-6"}, True),
        ({"rule": "other"}, True),
        ({"until": NOON}, True),
        ({"scope": "east"}, False),
        ({"scope": "west"}, True),
        ({"scope": "node"}, False),
        ({"scope": "other node"}, True),
    ],
)
def test_silenced_findings_are_not_notified(silence: dict[str, Any], is_delivered: bool) -> None:
    a_rule()
    node = a_node(cluster=a_cluster("east"))
    scope = silence.pop("scope", "")
    where: dict[str, Any] = {
        "": {},
        "east": {"cluster": node.cluster},
        "west": {"cluster": a_cluster("west")},
        "node": {"node": node},
        "other node": {"node": a_node(cluster=node.cluster)},
    }[scope]
    Silence.objects.create(**{"rule": "xid", "reason": "known", "created_at": NOON, "until": EXPIRES, **where, **silence})
    a_notice(node=node, detail={"rule": "xid", "key": "GPU-5"})
    match(NOON)
    assert Delivery.objects.exists() == is_delivered
    assert Notice.objects.get().matched_at == NOON


def test_a_round_that_fails_leaves_the_outbox_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    a_rule("a", group_s=60)
    a_rule("b", group_s=60)
    a_notice()

    def fail(self: Any, rule: Any, notice: Any) -> None:
        if rule.name == "b":
            raise RuntimeError("killed")
        original(self, rule, notice)

    original = matching._Desk.take
    monkeypatch.setattr(matching._Desk, "take", fail)
    with pytest.raises(RuntimeError):
        match(NOON)
    assert not Delivery.objects.exists()
    monkeypatch.setattr(matching._Desk, "take", original)
    match(NOON)
    assert Delivery.objects.count() == 2


def test_many_notices_take_few_queries(django_assert_max_num_queries: Any) -> None:
    for number in range(5):
        a_rule(group_s=60, clusters=[] if number == 0 else ["elsewhere"])
    node = a_node()
    for _ in range(40):
        a_notice(node=node)
    with django_assert_max_num_queries(140):
        match(NOON)
    assert DeliveryItem.objects.count() == 40


@pytest.mark.django_db(transaction=True)
def test_two_workers_do_not_sort_at_once() -> None:
    """A second connection holds the lock: this round does nothing, and does not wait."""
    import psycopg

    a_rule()
    a_notice()
    parameters = connection.get_connection_params()
    with psycopg.connect(host=parameters["host"], user=parameters["user"], dbname=parameters["dbname"]) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, 0)", [locks.MATCHING])
        assert match(NOON) == 0
    assert match(NOON) == 1
