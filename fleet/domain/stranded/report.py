"""Stranded GPUs per product, pool and class, with the reasons and the smallest move."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.placement.fleet import Fleet
from fleet.domain.stranded.count import ORDER, NodeUse, ShapeOnNode, node_use, wanted_on
from fleet.domain.stranded.moves import MOST_CHECKS, MOST_MOVES, Move, Proposal, after_moves, smallest_move
from fleet.domain.stranded.nodes import FreeNode, Key
from fleet.domain.stranded.shapes import CLASS, WantedShape, class_shape, with_usual_needs

PRODUCT, POOL = "product", "pool"
KINDS = (PRODUCT, POOL, CLASS)
MOST_SHAPES = 12
"""Shapes of one pool for which a move is searched, those of classes first."""
MOST_CHECKS_IN_ALL = 60_000
"""Placements tried for all rows together."""
_BY_PODS = frozenset({"resources", "group", "fragment"})
"""Reasons that are other pods: only these can be moved away."""
_WORDS = {
    "unschedulable": "On cordoned nodes.",
    "taint": "Behind taints that no wanted pod tolerates.",
    "verdict": "On nodes that are not ready or not read recently.",
    "resources": "CPU, memory or pod capacity of their nodes is used up.",
    "group": "On fewer nodes than one replica needs.",
    "no_demand": "No class and no pod that was seen wants GPUs there.",
}


class StrandedReason(msgspec.Struct, frozen=True):
    """Why GPUs are stranded. `id` is one of count.ORDER."""

    id: str
    text: str
    gpus: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One product, pool or class."""

    kind: str
    name: str
    """Product as the vendor names it, or slug."""
    title: str
    free_gpus: int
    """Whole GPUs that nothing requested, on nodes of every verdict."""
    stranded_gpus: int
    """Of them, those that no wanted shape can use; of a class, those that this class cannot use."""
    nodes: int
    """Nodes that hand out whole GPUs."""
    unknown_nodes: int
    """Of them, nodes whose free GPUs, CPU, memory or places for pods are unknown: they are in neither number."""
    reasons: tuple[StrandedReason, ...] = ()
    proposal: Proposal | None = None
    """The smallest move; None where other pods strand nothing."""

    @property
    def note(self) -> str:
        """Returns why there is no move; empty where there is one."""
        if self.proposal is not None and self.proposal.moves:
            return ""
        if not self.stranded_gpus:
            return "Nothing is stranded."
        if self.proposal is None:
            return "No move helps: other pods do not block them."
        if not self.proposal.complete:
            return "None found; there are too many combinations to try all of them."
        return f"No move of up to {MOST_MOVES} pods helps."


class Named(msgspec.Struct, frozen=True):
    """A pool or class by slug and title."""

    slug: str
    title: str


class Report:
    """Every row over one fleet. `fleet` groups all nodes by the labels `keys`; `nodes` are those that hand out whole GPUs."""

    def __init__(
        self,
        fleet: Fleet,
        keys: Collection[str],
        nodes: Iterable[FreeNode],
        classes: Sequence[ClassInPool],
        seen: Sequence[WantedShape],
    ) -> None:
        self._nodes = {node.key: node for node in nodes}
        promised = [shape for in_pool in classes if (shape := class_shape(in_pool)) is not None]
        self.shapes = with_usual_needs([*promised, *seen])
        self._wanted = wanted_on(self._nodes, self.shapes, fleet, keys)
        self._uses = self._count(self._wanted)
        self._proposals: dict[WantedShape, Proposal] = {}
        self._checks_left = MOST_CHECKS_IN_ALL
        self._open: dict[WantedShape, set[Key]] = defaultdict(set)
        for key, rows in self._wanted.items():
            for row in rows:
                if not row.against:
                    self._open[row.shape].add(key)

    def _count(self, wanted: Mapping[Key, Sequence[ShapeOnNode]]) -> dict[Key, NodeUse | None]:
        return {key: node_use(node, wanted.get(key, ())) for key, node in self._nodes.items()}

    def products(self) -> list[Row]:
        """Returns a row per product, the most stranded GPUs first."""
        groups: dict[str, list[Key]] = defaultdict(list)
        for key, node in self._nodes.items():
            groups[node.node.product].append(key)
        return _sorted(self._row(PRODUCT, Named(name, name or "Unknown product"), keys) for name, keys in groups.items())

    def pools(self, pools: Iterable[Named]) -> list[Row]:
        """Returns a row per pool that has whole GPUs, the most stranded first."""
        groups: dict[str, list[Key]] = defaultdict(list)
        for key, node in self._nodes.items():
            for pool in node.node.pools:
                groups[pool].append(key)
        return _sorted(self._row(POOL, pool, groups[pool.slug]) for pool in pools if groups[pool.slug])

    def classes(self, classes: Iterable[Named], sizes: Mapping[str, int]) -> list[Row]:
        """Returns a row per class of whole GPUs, over its pools and its own shapes only.

        `sizes`: slug to the GPUs per pod of the replica that a move is to make room for.
        """
        rows = []
        for named in classes:
            own = {shape for shape in self.shapes if shape.workload_class == named.slug}
            pools = {shape.requirement.pool for shape in own}
            keys = [key for key, node in self._nodes.items() if not pools.isdisjoint(node.node.pools)]
            if own and keys:
                wanted = {key: [row for row in self._wanted.get(key, ()) if row.shape in own] for key in keys}
                uses = {key: node_use(self._nodes[key], wanted[key]) for key in keys}
                asked = [shape for shape in self.shapes if shape in own and shape.gpus == sizes.get(named.slug)]
                proposals = [self._propose(shape) for shape in asked]
                rows.append(_summed(CLASS, named, uses, _best(proposals)))
        return _sorted(rows)

    def _row(self, kind: str, named: Named, keys: Sequence[Key]) -> Row:
        uses = {key: self._uses[key] for key in keys}
        by_pods = any(use is not None and not _BY_PODS.isdisjoint(use.reasons) for use in uses.values())
        return _summed(kind, named, uses, self._best_of(keys) if by_pods else None)

    def _best_of(self, keys: Sequence[Key]) -> Proposal | None:
        """Returns the smallest move among these nodes that leaves fewer GPUs stranded than now."""
        inside = set(keys)
        shapes: dict[WantedShape, int] = Counter()
        for key in keys:
            for wanted in self._wanted.get(key, ()):
                shapes[wanted.shape] += 1
        chosen = sorted(shapes, key=lambda shape: (shape.source != CLASS, -shape.replica_gpus, -shapes[shape], shape.title))
        proposals = []
        for shape in chosen[:MOST_SHAPES]:
            proposal = self._propose(shape)
            if proposal.moves and not (inside >= {move.source for move in proposal.moves} and self._helps(proposal)):
                proposal = Proposal(shape=shape, complete=proposal.complete)
            proposals.append(proposal)
            if len(proposal.moves) == 1:
                break
        return _best(proposals)

    def _propose(self, shape: WantedShape) -> Proposal:
        if shape not in self._proposals:
            place = shape.requirement
            nodes = [
                node
                for node in self._nodes.values()
                if (place.pool in node.node.pools if place.pool else node.node.product in place.products or not place.products)
            ]
            open_nodes = self._open[shape]
            most = min(MOST_CHECKS, self._checks_left)
            proposal = self._proposals[shape] = smallest_move(shape, nodes, lambda node: node.key in open_nodes, most)
            self._checks_left = max(self._checks_left - proposal.checks, 0)
        return self._proposals[shape]

    def _helps(self, proposal: Proposal) -> bool:
        """Returns whether fewer GPUs are stranded after the moves."""
        changed = after_moves(self._nodes, proposal.moves)
        before = after = 0
        for key in {key for move in proposal.moves for key in (move.source, move.target)}:
            wanted = [
                msgspec.structs.replace(row, starts=row.starts or row.shape is proposal.shape)
                for row in self._wanted.get(key, ())
            ]
            use, then = self._uses[key], node_use(changed[key], wanted)
            before += use.stranded if use else 0
            after += then.stranded if then else 0
        return after < before


def _best(proposals: Sequence[Proposal]) -> Proposal | None:
    """Returns the proposal with the fewest pods, then the fewest GPUs moved, then the largest replica; else one without moves."""
    helping = [proposal for proposal in proposals if proposal.moves]
    if helping:
        return min(helping, key=lambda row: (len(row.moves), row.gpus, -row.shape.replica_gpus, row.shape.title))
    return next((row for row in proposals if not row.complete), proposals[0] if proposals else None)


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.stranded_gpus, -row.free_gpus, row.title))


def _summed(kind: str, named: Named, uses: Mapping[Key, NodeUse | None], proposal: Proposal | None) -> Row:
    known = [use for use in uses.values() if use is not None]
    gpus: Counter[str] = Counter()
    for use in known:
        gpus.update(use.reasons)
    return Row(
        kind=kind,
        name=named.slug,
        title=named.title,
        free_gpus=sum(use.free for use in known),
        stranded_gpus=sum(use.stranded for use in known),
        nodes=len(uses),
        unknown_nodes=len(uses) - len(known),
        reasons=tuple(
            StrandedReason(reason, _words(reason, [use for use in known if reason in use.reasons]), gpus[reason])
            for reason in ORDER
            if gpus[reason]
        ),
        proposal=proposal,
    )


def _words(reason: str, uses: Sequence[NodeUse]) -> str:
    if reason != "fragment":
        return _WORDS[reason]
    most = max(use.free for use in uses)
    sizes = sorted({size for use in uses for size in use.sizes})
    wanted = f"{', '.join(map(str, sizes[:6]))}{' and more' if len(sizes) > 6 else ''}"
    if sizes and most < sizes[0]:
        return f"At most {most} free on one node; {wanted} per pod {'is' if len(sizes) == 1 else 'are'} wanted."
    return f"Left over beside pods of {wanted}."


def sentence(proposal: Proposal) -> str:
    """Returns the moves as text: an instruction that Muster does not carry out."""
    moves = " and ".join(_one(move) for move in proposal.moves)
    return f"Move {moves}: frees 1 replica of {_gpus(proposal.shape.replica_gpus)} ({proposal.shape.title})."


def _one(move: Move) -> str:
    held = _gpus(move.pod.gpus) if move.pod.gpus else "no GPUs"
    return f"{move.pod.namespace}/{move.pod.name} ({held}) from {move.source[1]} to {move.target[1]}"


def _gpus(number: int) -> str:
    return f"{number:,} GPU" if number == 1 else f"{number:,} GPUs"
