"""Notices in words: what happened, where, and what to do. One sentence in the title, the rest below it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleet.domain.findings import Severity
from fleet.models import Cluster, FindingRow, Node, Notice, VerdictPeriod
from fleet.services import notices

_TURNED = {"not_ready": "is not ready", "unknown": "is unknown: nobody can tell whether it is ready"}
_SEVERITIES = {"not_ready": Severity.CRITICAL, "unknown": Severity.WARNING}
_BACK = {"ready": "is ready again", "degraded": "is usable again, though degraded"}


def bad_verdict(period: VerdictPeriod, at: datetime) -> Notice:
    """A node turned bad; to be told as of `at`."""
    detail = {"verdict": period.verdict, "broken_rung": period.broken_rung or None, "reason": period.reason}
    return notices.draft(
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
    """A node of which `was` was told is good again; `verdict` is "gone" where it left its cluster instead."""
    title = f"{node.name} {_BACK[verdict]}" if verdict in _BACK else f"{node.name} has left {node.cluster.name}"
    words = ", then ".join(one.replace("_", " ") for one in was)
    return notices.draft(
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
    """The same each time this finding opens."""
    return f"finding:{row.cluster_id or 0}:{row.node_id or 0}:{row.rule}:{row.key}"


def finding(row: FindingRow, at: datetime, *, recovery: bool) -> Notice:
    """A finding that was opened, or resolved."""
    where = f"{row.node.name}: " if row.node else f"{row.cluster.name}: " if row.cluster else ""
    detail = {"rule": row.rule, "key": row.key, "subject": row.subject, "rung": row.rung or None, "evidence": row.evidence[:10]}
    return notices.draft(
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
    """A cluster could not be read for as long as makes its verdicts unknown."""
    read = f"The last good reading was at {cluster.read_at:%d %b %H:%M} UTC." if cluster.read_at else "It was never read."
    return notices.draft(
        "cluster",
        cluster_key(cluster),
        since,
        f"Cluster {cluster.name} cannot be read",
        _lines(cluster.error, f"{read} What is known of its nodes is that old."),
        cluster=cluster,
        severity=Severity.CRITICAL,
        detail={"error": cluster.error},
    )


def readable(cluster: Cluster, since: datetime, at: datetime) -> Notice:
    """Such a cluster is read again."""
    return notices.draft(
        "cluster",
        cluster_key(cluster),
        at,
        f"Cluster {cluster.name} is read again",
        f"It could not be read for {minutes(at, since)} min.",
        cluster=cluster,
        severity=Severity.CRITICAL,
        recovery=True,
        detail={"since": since.isoformat()},
    )


_STATES = {"kept": "keeps its promise again", "at_risk": "is at risk", "broken": "is broken", "unknown": "is not judged"}


def promise(kind: str, slug: str, state: str, was: str, reasons: Sequence[str], at: datetime) -> Notice:
    """A pool (kind `pool`) or class that is kept, at risk or broken from now on; `was` is its state before, empty for none."""
    what = "Pool" if kind == "pool" else "Class"
    good = state == "kept"
    return notices.draft(
        "promise",
        f"{kind}:{slug}",
        at,
        f"{what} {slug} {_STATES.get(state, state)}",
        _lines(*reasons[:_MOST_REASONS]) if not good else f"It was {was.replace('_', ' ')}.",
        pool=slug if kind == "pool" else "",
        severity=Severity.CRITICAL if "broken" in (state, was if good else "") else Severity.WARNING,
        recovery=good,
        detail={"subject": kind, "state": state, "was": was or None, "reasons": list(reasons[:_MOST_REASONS])},
    )


_MOST_REASONS = 10


def minutes(at: datetime, since: datetime) -> int:
    return max(1, round((at - since).total_seconds() / 60))


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
