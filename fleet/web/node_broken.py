"""Context of a broken node: incident, who is affected, other events, links to other tools, commands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from fleet.domain.incidents.commands import node_commands
from fleet.selectors.nodes import affected as node_affected
from fleet.selectors.nodes import around
from fleet.selectors.nodes.headline import REMOVED, Headline
from fleet.web.findings import HOURS

if TYPE_CHECKING:
    from fleet.models import Node

_MARGIN = timedelta(hours=1)
_QUIET = ("ready", REMOVED)


def context(node: Node, headline: Headline, now: datetime) -> dict[str, object]:
    """Returns affected, affected_classes, around (None for a ready node), links, commands, hours."""
    broken = headline.verdict not in _QUIET
    affected = node_affected.affected_by(node)
    return {
        "affected": affected,
        "affected_classes": node_affected.classes_of(affected) if broken else [],
        "around": around.around(node, headline.since) if broken and headline.since is not None else None,
        "links": links(node, headline.since, now),
        "commands": node_commands(node.cluster.name, node.name),
        "hours": HOURS,
    }


def links(node: Node, since: datetime | None, now: datetime) -> list[dict[str, str]]:
    """Returns the links of MUSTER_NODE_LINKS whose values are known: from an hour before the fault until now."""
    labels = node.labels or {}
    provider = str((node.snapshot or {}).get("provider_id") or "")
    values = {
        "cluster": node.cluster.name,
        "node": node.name,
        "instance": provider.rstrip("/").rpartition("/")[2],
        "region": str(labels.get("topology.kubernetes.io/region") or ""),
        "zone": node.zone,
        "from_ms": str(int(((since or now) - _MARGIN).timestamp() * 1000)),
        "to_ms": str(int(now.timestamp() * 1000)),
    }
    rows = ((link.name, link.fill(values)) for link in settings.NODE_LINKS)
    return [{"name": name, "url": url} for name, url in rows if url]
