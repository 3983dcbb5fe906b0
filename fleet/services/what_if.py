"""Forecasts a change of one cluster. Reads only: nothing is stored, and nothing is sent to the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from fleet.collectors.device_plugin_config import parse_one
from fleet.domain.classes.requirements import class_in_pools, label_keys
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.whatif.forecast import Forecast, forecast
from fleet.domain.whatif.planned_changes import Reader
from fleet.models import Cluster
from fleet.selectors import declarations
from fleet.selectors.clusters import get_cluster
from fleet.selectors.placement import headroom as rooms
from fleet.services import evaluation_history, last_known

_MEASURED = ("telemetry", "model_servers")


@dataclass(frozen=True, slots=True)
class ClassDifference:
    """Replicas of one class that could land, before and after."""

    slug: str
    title: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The forecast of a change, and the classes whose room would differ."""

    forecast: Forecast
    classes: tuple[ClassDifference, ...]
    as_of: datetime | None


def what_if(name: str, changes: object, now: datetime) -> WhatIf:
    """Returns what the changes would do to a cluster. Raises FieldError with the field at fault."""
    cluster = get_cluster(name)
    if cluster is None or cluster.taken_at is None:
        raise FieldError("cluster", f"Cluster “{name[:200]}” not found, or never collected.")
    snapshot = current_snapshot(cluster)
    read = Reader(snapshot.nodes, parse_one).read(changes)
    history = evaluation_history.load_history(cluster, snapshot)
    answer = forecast(snapshot, history, read, declarations.pool_specs())
    return WhatIf(answer, _classes(cluster, answer, rooms.stock(now)), cluster.read_at)


def current_snapshot(cluster: Cluster) -> ClusterSnapshot:
    """Returns everything that is known of the cluster, as of its newest run: each section as it was last read."""
    measured = {name: SectionReport(name=name, outcome=Outcome.SKIPPED) for name in _MEASURED}
    if cluster.taken_at is None:
        raise ValueError(f"Cluster {cluster.name} was never collected.")
    return last_known.fill(cluster, ClusterSnapshot(name=cluster.name, taken_at=cluster.taken_at, sections=measured))


def _classes(cluster: Cluster, answer: Forecast, stock: rooms.Stock) -> tuple[ClassDifference, ...]:
    specs = [declarations.spec_of(version) for version in declarations.newest_versions().values()]
    known = rooms.fleet_for(specs, stock).nodes
    stale = any(node.stale for node in known if node.cluster == cluster.name)
    elsewhere = [node for node in known if node.cluster != cluster.name]
    rows = []
    fleets = [
        Fleet([*elsewhere, *(msgspec.structs.replace(node, stale=stale) for node in side)], label_keys(stock.pools))
        for side in answer.placement
    ]
    for spec in specs:
        before, after = (_replicas(spec, fleet, stock) for fleet in fleets)
        if before != after:
            rows.append(ClassDifference(spec.slug, spec.title or spec.slug, before, after))
    return tuple(rows)


def _replicas(spec: ClassSpec, fleet: Fleet, stock: rooms.Stock) -> int:
    in_pools = class_in_pools(spec, stock.pools, fleet, lambda: rooms.claims_by_cluster(stock))
    return headroom(*rooms.asked_of(in_pools, stock, fleet)).replicas
