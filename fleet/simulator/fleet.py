"""A whole simulated fleet: several clusters, one seed, one clock."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta

from fleet.simulator import kueue
from fleet.simulator.builder import populate
from fleet.simulator.flavours import named
from fleet.simulator.other_pods import add_other_pods
from fleet.simulator.plan import PLANS
from fleet.simulator.seeds import Seed
from fleet.simulator.stories import Cluster

ANCHOR = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
"""Creation time of long-lived objects, so that a fleet restarted tomorrow is not younger."""
DEFAULT_NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""The default moment of a fleet: fixed, so that its bytes are the same in every run."""


class Clock:
    """The fleet's time: fixed until moved, or the real one."""

    def __init__(self, now: datetime, runs: bool) -> None:
        self._now = now
        self.runs = runs

    def __call__(self) -> datetime:
        return datetime.now(UTC) if self.runs else self._now

    def move(self, by: timedelta) -> None:
        self._now += by


class Fleet:
    """Clusters by name and in order. Build one with `build_fleet`."""

    def __init__(self, seed: Seed, clock: Clock, clusters: list[Cluster]) -> None:
        self.seed = seed
        self.clock = clock
        self.clusters = clusters

    def __getitem__(self, name: str) -> Cluster:
        return next(cluster for cluster in self.clusters if cluster.name == name)

    def advance(self, seconds: float) -> None:
        """Let time pass in a fleet whose clock stands still: what was due by then happens (labels come back, pods start)."""
        self.clock.move(timedelta(seconds=seconds))
        for cluster in self.clusters:
            cluster.happen()


def build_fleet(
    clusters: int = 3,
    nodes: int | None = None,
    pods_per_node: int | None = None,
    seed: int = 1,
    now: datetime | None = None,
    live: bool = False,
) -> Fleet:
    """A fleet, the same for the same arguments.

    `nodes`: GPU nodes over all clusters (CPU nodes come on top: 3 %, at least one for each cluster); None: as many as the
    plans say, about 47 for each cluster. `pods_per_node`: pods for each GPU node in all, daemons included; below 15 only the
    essential daemons run; None: as many as real nodes have. `now`: the moment it shows; `live`: its clock follows the real one.
    """
    clock = Clock(now or DEFAULT_NOW, live)
    anchor = min(ANCHOR, clock())
    made: list[Cluster] = []
    collecting = gc.isenabled()
    gc.disable()  # no cyclic garbage is created here, and searching for it costs more than building
    try:
        _build(made, clusters, nodes, pods_per_node, seed, clock, anchor)
    finally:
        if collecting:
            gc.enable()
    return Fleet(Seed(seed), clock, made)


def _build(  # noqa: PLR0913 the options of the simulated fleet
    made: list[Cluster], clusters: int, nodes: int | None, pods_per_node: int | None, seed: int, clock: Clock, anchor: datetime
) -> None:
    flavours = [named(index) for index in range(clusters)]
    planned = [sum(count for _, count in PLANS[flavour.name]) for _, flavour in flavours]
    counts = planned if nodes is None else split(nodes, planned)
    for (name, flavour), count in zip(flavours, counts, strict=True):
        cluster = Cluster(name, flavour, Seed(seed, name), clock, anchor)
        with_cards = populate(cluster, count, pods_per_node)
        add_other_pods(cluster, with_cards, None if pods_per_node is None else pods_per_node * len(with_cards))
        cluster.show_cluster_objects()
        if flavour.kueue:
            kueue.show(cluster, gated=pods_per_node is None)
        cluster.store.settle()
        made.append(cluster)


def split(total: int, weights: list[int]) -> list[int]:
    """`total` in parts proportional to the weights, none lost."""
    parts: list[int] = []
    left, weight_left = total, sum(weights)
    for weight in weights:
        part = round(left * weight / weight_left) if weight_left else 0
        parts.append(part)
        left -= part
        weight_left -= weight
    return parts
