"""Kept forecasts, each with what happened since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from django.db.models import QuerySet

from fleet.domain.whatif.comparison import DIFFERS, Facts, ForecastNode, NodeOutcome, compare, facts, sentence, summary
from fleet.models import KeptForecast
from fleet.selectors.nodes import nodes as node_rows
from fleet.selectors.nodes.views import NodeView, whole_views

MOST_SHOWN = 3
"""Nodes of one forecast that a page names."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One kept forecast and the nodes now."""

    row: KeptForecast
    nodes: tuple[NodeOutcome, ...]
    counts: dict[str, int]
    text: str

    @property
    def shown(self) -> list[NodeOutcome]:
        """Returns the first nodes that are otherwise than forecast."""
        return [node for node in self.nodes if node.state == DIFFERS][:MOST_SHOWN]


def kept() -> QuerySet[KeptForecast]:
    """Forecasts of configured clusters, the newest first."""
    return KeptForecast.objects.filter(cluster__removed_at__isnull=True).select_related("cluster", "by")


def get_kept(pk: int) -> KeptForecast | None:
    return kept().filter(pk=pk).first()


def outcomes(rows: Sequence[KeptForecast]) -> list[Outcome]:
    """Returns what became of each forecast, by the nodes as they were last evaluated."""
    return [_outcome(row) for row in rows]


def _outcome(row: KeptForecast) -> Outcome:
    nodes = msgspec.convert(row.nodes, list[ForecastNode], strict=False)
    names = [node.name for node in nodes if node.before is not None]
    present = node_rows.with_resources(node_rows.nodes().filter(cluster=row.cluster, removed_at__isnull=True, name__in=names))
    compared = compare(nodes, {view.name: _facts(view) for view in whole_views(list(present))})
    counts = summary(compared)
    return Outcome(row, tuple(compared), counts, sentence(counts))


def _facts(view: NodeView) -> Facts:
    return facts(
        verdict=view.figures.verdict,
        schedulable=view.figures.schedulable,
        mode=view.figures.mode,
        driver_version=view.figures.driver_version,
        taints=view.taints,
        pools=view.pools,
        resources=view.figures.resources,
    )
