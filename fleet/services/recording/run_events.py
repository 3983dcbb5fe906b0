"""Writes the events of a collection run to the outbox, in the transaction of the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings

from fleet.domain.findings import Severity
from fleet.domain.history import reportable
from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, FindingRow, Node, Notice, VerdictPeriod
from fleet.models.joined import joined
from fleet.services import outbox
from fleet.services.notifications import grace, wording


def record_run(
    cluster: Cluster, collected: ClusterSnapshot, moments: Sequence[datetime], failing_before: datetime | None
) -> None:
    """Writes the events of one run: of its periods at `moments`, and of the cluster's reachability.

    `failing_before` is since when the cluster failed before this run. A telemetry run does not decide reachability; a run
    without moments was overtaken by a newer one and has no events.
    """
    for moment in moments:
        record(cluster, moment)
    if moments and "nodes" in collected.sections:
        record_reachability(cluster, failing_before, collected.taken_at)


def record(cluster: Cluster, at: datetime) -> None:
    """Writes an event for each verdict period and finding that began or ended at `at`, read from their rows.

    A bad verdict is written at once and sent only when the incident's grace is over and the period is still current:
    services.notifications.grace decides that from the periods. Code that writes periods outside a run (the sweep of
    unreachable clusters) calls this with the moment they begin, in the same transaction.
    """
    drafts = [*_verdicts(cluster, at), *_findings(cluster, at)]
    if drafts:
        outbox.add_all(drafts)


def record_reachability(cluster: Cluster, failing_before: datetime | None, at: datetime) -> None:
    """Writes an event for a cluster that has been unreachable long enough to make its verdicts unknown, and for its return.

    `failing_before` is since when it failed before this run; `cluster` is as the run leaves it.
    """
    since = cluster.failing_since
    if since is not None and at - since >= settings.STALE_AFTER:
        outbox.add_all([wording.unreadable(cluster, since)])
    elif since is None and failing_before is not None:
        lost = Notice.objects.filter(kind="cluster", key=wording.cluster_key(cluster), at=failing_before, recovery=False)
        if lost.exists():
            outbox.add_all([wording.readable(cluster, failing_before, at)])


def _verdicts(cluster: Cluster, at: datetime) -> Iterable[Notice]:
    began = joined(VerdictPeriod.objects.filter(node__cluster=cluster, period__startswith=at), "node", "node__cluster")
    ended = joined(VerdictPeriod.objects.filter(node__cluster=cluster, period__endswith=at), "node", "node__cluster")
    before = {period.node_id: period for period in ended}
    back: list[tuple[Node, str]] = []
    for period in began:
        previous = before.pop(period.node_id, None)
        if period.verdict in reportable.BAD and (previous is None or previous.verdict != period.verdict):
            yield wording.bad_verdict(period, at)
        elif period.verdict in reportable.GOOD and (previous is None or previous.verdict not in reportable.GOOD):
            back.append((period.node, period.verdict))
    # A period without a successor: the node was removed.
    back += [(period.node, "gone") for period in before.values() if period.verdict not in reportable.GOOD]
    result = grace.unrecovered([node.pk for node, _ in back], at) if back else {}
    for node, verdict in back:
        if node.pk in result:
            yield wording.good_verdict(node, verdict, result[node.pk].since, result[node.pk].verdicts, at)


def _findings(cluster: Cluster, at: datetime) -> Iterable[Notice]:
    result = joined(FindingRow.objects.filter(cluster=cluster), "cluster", "node")
    opened, resolved = result.filter(period__startswith=at), result.filter(period__endswith=at)
    before = {wording.finding_key(row): row for row in resolved}
    for row in opened:
        # Closed and opened at the same moment, it is one finding that changed: only a worse severity is an event.
        previous = before.pop(wording.finding_key(row), None)
        if previous is None or Severity(row.severity).rank > Severity(previous.severity).rank:
            yield wording.finding(row, at, recovery=False)
    for row in before.values():
        yield wording.finding(row, at, recovery=True)
