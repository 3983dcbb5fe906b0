"""The outbox: what changed in this pass and is worth telling somebody, in the pass's own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.conf import settings

from fleet.domain import news
from fleet.domain.findings import Severity
from fleet.models import Cluster, FindingRow, Node, Notice, VerdictPeriod
from fleet.services import notices
from fleet.services.notifications import grace, wording


def record(cluster: Cluster, at: datetime) -> None:
    """Writes a notice for each verdict period and finding that began or ended at `at`, read from their rows.

    A bad verdict is written at once and told only when the incident's grace is over and it still stands: that is decided
    by services.notifications.grace, from the periods. Whoever writes periods outside a pass (a sweep of clusters that fell
    silent) calls this with the moment they begin, in the same transaction.
    """
    drafts = [*_verdicts(cluster, at), *_findings(cluster, at)]
    if drafts:
        notices.add_all(drafts)


def record_reachability(cluster: Cluster, failing_before: datetime | None, at: datetime) -> None:
    """A cluster that could not be read for as long as makes its verdicts unknown, and its return. `failing_before` is
    since when it was failing before this pass; `cluster` is as the pass leaves it."""
    since = cluster.failing_since
    if since is not None and at - since >= settings.STALE_AFTER:
        notices.add_all([wording.unreadable(cluster, since)])
    elif since is None and failing_before is not None:
        lost = Notice.objects.filter(kind="cluster", key=wording.cluster_key(cluster), at=failing_before, recovery=False)
        if lost.exists():
            notices.add_all([wording.readable(cluster, failing_before, at)])


def _verdicts(cluster: Cluster, at: datetime) -> Iterable[Notice]:
    began = VerdictPeriod.objects.filter(node__cluster=cluster, period__startswith=at).select_related("node", "node__cluster")
    ended = VerdictPeriod.objects.filter(node__cluster=cluster, period__endswith=at).select_related("node", "node__cluster")
    before = {period.node_id: period for period in ended}
    back: list[tuple[Node, str]] = []
    for period in began:
        previous = before.pop(period.node_id, None)
        if period.verdict in news.BAD and (previous is None or previous.verdict != period.verdict):
            yield wording.bad_verdict(period, at)
        elif period.verdict in news.GOOD and (previous is None or previous.verdict not in news.GOOD):
            back.append((period.node, period.verdict))
    # What ended without a successor: the node is gone.
    back += [(period.node, "gone") for period in before.values() if period.verdict not in news.GOOD]
    told = grace.told([node.pk for node, _ in back], at) if back else {}
    for node, verdict in back:
        if node.pk in told:
            yield wording.good_verdict(node, verdict, told[node.pk].since, told[node.pk].verdicts, at)


def _findings(cluster: Cluster, at: datetime) -> Iterable[Notice]:
    mine = FindingRow.objects.filter(cluster=cluster).select_related("cluster", "node")
    opened, resolved = mine.filter(period__startswith=at), mine.filter(period__endswith=at)
    before = {wording.finding_key(row): row for row in resolved}
    for row in opened:
        # Closed and opened at one moment it is one finding that changed: only a worse severity is news.
        previous = before.pop(wording.finding_key(row), None)
        if previous is None or Severity(row.severity).rank > Severity(previous.severity).rank:
            yield wording.finding(row, at, recovery=False)
    for row in before.values():
        yield wording.finding(row, at, recovery=True)
