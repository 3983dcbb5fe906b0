"""Texts of events: what happened, where, and what to do. One sentence in the title, the rest in the text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleet.domain.findings import Severity
from fleet.models import Cluster, FindingRow, Node, Notice, VerdictPeriod
from fleet.services import outbox

_TURNED = {"not_ready": "is not ready", "unknown": "is unknown: its readiness cannot be determined"}
_SEVERITIES = {"not_ready": Severity.CRITICAL, "unknown": Severity.WARNING}
_BACK = {"ready": "is ready again", "degraded": "is usable again, though degraded"}


def bad_verdict(period: VerdictPeriod, at: datetime) -> Notice:
    """Returns the event of a node that turned bad at `at`."""
    detail = {"verdict": period.verdict, "broken_rung": period.broken_rung or None, "reason": period.reason}
    return outbox.draft(
        "verdict",
        f"node:{period.node_id}",
        at,
        f"{period.node.name} {_TURNED[period.verdict]}",
        _lines(period.reason, period.remedy),
        node=period.node,
        severity=_SEVERITIES[period.verdict],
        detail=detail,
    )


def good_verdict(node: Node, verdict: str, since: datetime, was: Sequence[str], at: datetime) -> Notice:
    """Returns the recovery of a node with the verdicts `was`; `verdict` is "gone" where it left its cluster instead."""
    title = f"{node.name} {_BACK[verdict]}" if verdict in _BACK else f"{node.name} has left {node.cluster.name}"
    words = ", then ".join(item.replace("_", " ") for item in was)
    return outbox.draft(
        "verdict",
        f"node:{node.pk}",
        at,
        title,
        f"It was {words} for {minutes(at, since)} min.",
        node=node,
        severity=_SEVERITIES[was[-1]],
        recovery=True,
        detail={"verdict": verdict, "since": since.isoformat(), "was": list(was)},
    )


def finding_key(row: FindingRow) -> str:
    """Returns the key of a finding's events, the same each time it opens."""
    return f"finding:{row.cluster_id or 0}:{row.node_id or 0}:{row.rule}:{row.key}"


def finding(row: FindingRow, at: datetime, *, recovery: bool) -> Notice:
    """Returns the event of a finding that opened or was resolved."""
    where = f"{row.node.name}: " if row.node else f"{row.cluster.name}: " if row.cluster else ""
    detail = {
        "finding": row.pk, "rule": row.rule, "key": row.key, "subject": row.subject, "rung": row.rung or None,
        "evidence": row.evidence[:10],
    }  # fmt: skip
    return outbox.draft(
        "finding",
        finding_key(row),
        at,
        f"{where}{'resolved: ' if recovery else ''}{row.text}",
        "" if recovery else row.remedy,
        cluster=row.cluster,
        node=row.node,
        pool=row.key if row.subject == "pool" else "",
        severity=row.severity,
        recovery=recovery,
        detail=detail,
    )


def cluster_key(cluster: Cluster) -> str:
    return f"cluster:{cluster.pk}"


def unreadable(cluster: Cluster, since: datetime) -> Notice:
    """Returns the event of a cluster that was unreachable for so long that its verdicts are unknown."""
    read = f"Last successful run: {cluster.read_at:%d %b %H:%M} UTC." if cluster.read_at else "It was never read."
    return outbox.draft(
        "cluster",
        cluster_key(cluster),
        since,
        f"Cluster {cluster.name} is unreachable",
        _lines(cluster.error, f"{read} Its nodes show last known data."),
        cluster=cluster,
        severity=Severity.CRITICAL,
        detail={"error": cluster.error},
    )


def readable(cluster: Cluster, since: datetime, at: datetime) -> Notice:
    """Returns the recovery of an unreachable cluster."""
    return outbox.draft(
        "cluster",
        cluster_key(cluster),
        at,
        f"Cluster {cluster.name} is reachable again",
        f"It was unreachable for {minutes(at, since)} min.",
        cluster=cluster,
        severity=Severity.CRITICAL,
        recovery=True,
        detail={"since": since.isoformat()},
    )


_STATES = {"met": "meets its definition again", "at_risk": "is at risk", "violated": "is violated"}


def compliance(subject: tuple[str, str], state: str, was: str, texts: Sequence[str], at: datetime) -> Notice:
    """Returns the event of a pool or class (kind and slug) whose compliance changed; `was` is its previous state or empty."""
    kind, slug = subject
    what = "Pool" if kind == "pool" else "Class"
    good = state == "met"
    return outbox.draft(
        "compliance",
        f"{kind}:{slug}",
        at,
        f"{what} {slug} {_STATES.get(state, state)}",
        _lines(*texts[:_MOST_REASONS]) if not good else f"It was {was.replace('_', ' ')}.",
        pool=slug if kind == "pool" else "",
        severity=Severity.CRITICAL if "violated" in (state, was if good else "") else Severity.WARNING,
        recovery=good,
        detail={"subject": kind, "state": state, "was": was or None, "violations": list(texts[:_MOST_REASONS])},
    )


_MOST_REASONS = 10


def minutes(at: datetime, since: datetime) -> int:
    return max(1, round((at - since).total_seconds() / 60))


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
