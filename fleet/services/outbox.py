"""The outbox: events are added here, in the transaction in which they happen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fleet.models import Cluster, Node, Notice
from fleet.selectors.pools.pools import primary_slug


def draft(  # noqa: PLR0913 the fields of an event, given by name
    kind: str,
    key: str,
    at: datetime,
    title: str,
    text: str = "",
    *,
    cluster: Cluster | None = None,
    node: Node | None = None,
    pool: str = "",
    product: str = "",
    severity: str = "",
    recovery: bool = False,
    detail: dict[str, Any] | None = None,
) -> Notice:
    """One notice, not yet written. `key` is the same for a problem and its recovery; a node provides its cluster and product."""
    return Notice(
        kind=kind,
        key=key,
        at=at,
        title=title if len(title) <= 300 else f"{title[:299]}…",
        text=text,
        cluster=cluster or (node.cluster if node else None),
        node=node,
        pool=pool,
        product=product or (node.product if node else ""),
        severity=severity,
        recovery=recovery,
        detail=detail or {},
    )


def add_all(drafts: Iterable[Notice]) -> None:
    """Writes these events once.

    One that exists (same kind, key, moment and recovery) is left as it is, so that no repetition notifies twice.
    """
    rows = list(drafts)
    alone = {draft.node_id for draft in rows if draft.node_id and not draft.pool}
    pools = dict(Node.objects.filter(pk__in=alone).values_list("pk", primary_slug("pk"))) if alone else {}
    for item in rows:
        item.pool = item.pool or pools.get(item.node_id, "")
    Notice.objects.bulk_create(rows, ignore_conflicts=True)


def add(kind: str, key: str, at: datetime, title: str, text: str = "", **more: Any) -> None:
    """Adds one notice; arguments as of `draft`. Call it inside the transaction that makes it true."""
    add_all([draft(kind, key, at, title, text, **more)])
