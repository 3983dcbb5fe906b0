"""Matches events with rules: what is sent to which target, what is grouped, what waits, and what is not repeated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Q

from fleet.domain.findings import Severity
from fleet.domain.incidents.causes import severity_rank
from fleet.models import Delivery, DeliveryItem, Notice, NotificationRule, PoolMembership, Silence
from fleet.models.joined import joined
from fleet.services import locks
from fleet.services.notifications import grace

_BATCH = 500
_State = Delivery.State


@transaction.atomic
def match(now: datetime) -> int:
    """Adds every event of the outbox that is due to the deliveries of matching rules; returns how many were matched.

    One worker at a time, so that what belongs together meets; the others go on without it. All or nothing: a worker that
    dies here leaves the outbox as it was.
    """
    if not _alone():
        return 0
    news = grace.settle(now)
    waiting = (
        Notice.objects.filter(matched_at__isnull=True)
        .filter(~Q(kind="verdict") | Q(recovery=True) | Q(pk__in=news))
        .order_by("at", "id")
    )
    notices = list(joined(waiting, "cluster", "node")[:_BATCH])
    rules = list(NotificationRule.objects.filter(enabled=True).select_related("target")) if notices else []
    if rules:
        silences = list(Silence.objects.filter(until__gt=now))
        desk = _Desk(rules, notices, now)
        pools = _pools(notices)
        for notice in notices:
            if not _is_silenced(notice, silences):
                for rule in rules:
                    if fits(rule, notice, pools[notice.pk]):
                        desk.take(rule, notice)
    Notice.objects.filter(pk__in=[notice.pk for notice in notices]).update(matched_at=now)
    return len(notices)


def fits(rule: NotificationRule, notice: Notice, pools: Set[str]) -> bool:
    """Whether a rule matches an event; severities apply to findings, verdicts to bad verdicts.

    `pools` are all that the notice concerns, be it that a figure of its node counts for one of them only.
    """
    if rule.kinds and notice.kind not in rule.kinds:
        return False
    if rule.clusters and (notice.cluster is None or notice.cluster.name not in rule.clusters):
        return False
    if rule.pools and pools.isdisjoint(rule.pools):
        return False
    if rule.products and notice.product not in rule.products:
        return False
    if notice.kind == "finding" and severity_rank(notice.severity) < severity_rank(rule.min_severity):
        return False
    if notice.kind == "verdict" and rule.verdicts and not notice.recovery:
        return notice.detail.get("verdict") in rule.verdicts
    return rule.recoveries or not notice.recovery


def quiet_until(rule: NotificationRule, notice: Notice, now: datetime) -> datetime | None:
    """When the rule's quiet time ends, if `now` lies in it and the notice is not fatal."""
    begins, ends = rule.quiet_from, rule.quiet_until
    if begins is None or ends is None or begins == ends or notice.severity == Severity.FATAL:
        return None
    clock = now.time()
    inside = begins <= clock < ends if begins < ends else clock >= begins or clock < ends
    if not inside:
        return None
    until = now.replace(hour=ends.hour, minute=ends.minute, second=ends.second, microsecond=0)
    return until if until > now else until + timedelta(days=1)


def _pools(notices: Sequence[Notice]) -> dict[int, set[str]]:
    """Slugs of the pools that each event concerns: its own, and those its node was in."""
    members: dict[int, list[tuple[str, DateTimeTZRange]]] = defaultdict(list)
    rows = PoolMembership.objects.filter(node__in={notice.node_id for notice in notices if notice.node_id})
    for node_id, slug, period in rows.values_list("node_id", "pool__slug", "period"):
        members[node_id].append((slug, period))
    return {
        notice.pk: {notice.pool}.union(
            slug for slug, period in members[notice.node_id or 0] if notice.at in period or notice.at == period.upper
        )
        for notice in notices
    }


class _Desk:
    """One round of matching. It knows the earlier events with the same keys for each rule, in order."""

    def __init__(self, rules: Sequence[NotificationRule], notices: Sequence[Notice], now: datetime) -> None:
        self.now = now
        self.delivered: dict[tuple[int, str], list[tuple[Notice, Delivery]]] = defaultdict(list)
        had = (
            DeliveryItem.objects.filter(rule__in=rules, notice__key__in={notice.key for notice in notices})
            .filter(notice__recovery=False)
            .exclude(delivery__state=_State.SUPPRESSED)
            .select_related("notice", "delivery")
            .order_by("notice__at", "id")
        )
        for item in had:
            self.delivered[item.rule_id or 0, item.notice.key].append((item.notice, item.delivery))

    def take(self, rule: NotificationRule, notice: Notice) -> None:
        """One event that matches the rule."""
        had = self.delivered[rule.pk, notice.key]
        if notice.recovery:
            self._take_recovery(rule, notice, had)
            return
        if rule.repeat_s and had:
            free = had[-1][1].created_at + timedelta(seconds=rule.repeat_s)
            if free > self.now:
                had.append((notice, self._new(rule, notice, max(free, self._due(rule, notice)), held=True)))
                return
        had.append((notice, self._join(rule, notice)))

    def _take_recovery(self, rule: NotificationRule, notice: Notice, had: list[tuple[Notice, Delivery]]) -> None:
        """Sends a recovery to the targets that got the event; drops both where the event is still held as a repetition."""
        if not had:
            return
        news, delivery = had[-1]
        if delivery.held:
            gone = Delivery.objects.filter(pk=delivery.pk, state=_State.WAITING, tries=0).update(
                state=_State.SUPPRESSED,
                ended_at=self.now,
                error="A repeat that recovered before it was due.",
            )
            if gone:
                had.pop()
                return
        if news.at <= notice.at:
            self._join(rule, notice)

    def _due(self, rule: NotificationRule, notice: Notice) -> datetime:
        return quiet_until(rule, notice, self.now) or self.now + timedelta(seconds=rule.group_s)

    def _join(self, rule: NotificationRule, notice: Notice) -> Delivery:
        """Adds to the open delivery of the group, or creates one."""
        due = self._due(rule, notice)
        open_one = Delivery.objects.select_for_update().filter(
            rule=rule, state=_State.WAITING, tries=0, held=False, is_test=False, due_at__gt=self.now
        )
        quiet = quiet_until(rule, notice, self.now)
        same = open_one.filter(due_at=due) if quiet else open_one.filter(due_at__lte=due)
        delivery = same.order_by("due_at").first()
        if delivery is None:
            return self._new(rule, notice, due)
        DeliveryItem.objects.create(delivery=delivery, rule=rule, notice=notice)
        return delivery

    def _new(self, rule: NotificationRule, notice: Notice, due: datetime, *, held: bool = False) -> Delivery:
        delivery = Delivery.objects.create(
            rule=rule, rule_name=rule.name, target=rule.target, target_name=rule.target.name,
            created_at=self.now, due_at=due, held=held,
        )  # fmt: skip
        DeliveryItem.objects.create(delivery=delivery, rule=rule, notice=notice)
        return delivery


def _is_silenced(notice: Notice, silences: Sequence[Silence]) -> bool:
    """Silenced findings are not notified, and neither is their resolution."""
    return notice.kind == "finding" and any(
        silence.rule == notice.detail.get("rule")
        and silence.key in ("", notice.detail.get("key"))
        and silence.node_id in (None, notice.node_id)
        and silence.cluster_id in (None, notice.cluster_id)
        for silence in silences
    )


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [locks.MATCHING, 0])
        (got,) = cursor.fetchone()
    return bool(got)
