"""Finds the fewest running pods whose move to other nodes makes room for one more replica of a shape. Nothing is moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

import msgspec

from fleet.domain.stranded.nodes import Amounts, FreeNode, Key, RunningPod, fits, kind_of, may_move, pods_in
from fleet.domain.stranded.shapes import WantedShape

MOST_MOVES = 3
"""Most pods of one proposal: more are impractical to move manually."""
MOST_CHECKS = 5_000
"""Placements tried for one shape. With more, the answer states that the search is incomplete."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One pod to be moved, in the order given: each fits on its target once those before it have moved."""

    pod: RunningPod
    source: Key
    target: Key


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """The answer about one shape. No moves: none of up to MOST_MOVES pods help, if `complete`."""

    shape: WantedShape
    moves: tuple[Move, ...] = ()
    complete: bool = True
    """Whether every possibility with fewer pods was tried."""
    checks: int = 0
    """Placements that were tried."""

    @property
    def gpus(self) -> int:
        """Returns the whole GPUs that the moved pods hold."""
        return sum(move.pod.gpus for move in self.moves)


class _SearchEndedError(Exception):
    """The number of placements to try is used up."""


class _Search:
    """What is free on every node after the moves so far, and the replicas of the shape that fit there."""

    def __init__(
        self, shape: WantedShape, nodes: Sequence[FreeNode], is_open: Callable[[FreeNode], bool], most_checks: int
    ) -> None:
        self.shape = shape
        self.nodes = [node for node in nodes if node.gpus is not None]
        self.free = [dict(node.free) for node in self.nodes]
        self.open = [is_open(node) for node in self.nodes]
        domain = shape.requirement.domain
        self.domains = [(node.node.cluster, node.node.labels.get(domain, "") if domain else "") for node in self.nodes]
        self.kinds = [(node.node.taints, tuple(sorted(pod.needs for pod in node.movable))) for node in self.nodes]
        self.receivers = sorted(
            (position for position, node in enumerate(self.nodes) if node.receives),
            key=lambda at: (self.free[at].get(self.nodes[at].resource, 0), self.nodes[at].key),
        )
        self._by_kind: dict[tuple[object, ...], list[int]] = {}
        self.moved: list[Move] = []
        self.checks, self.most_checks = 0, most_checks
        self.pods = [self._pods(position) for position in range(len(self.nodes))]
        self.totals: dict[tuple[str, str], int] = {}
        for position, pods in enumerate(self.pods):
            self.totals[self.domains[position]] = self.totals.get(self.domains[position], 0) + pods
        self.before = self.replicas()

    def _pods(self, position: int) -> int:
        return pods_in(self.shape.needs, self.free[position]) if self.open[position] else 0

    def replicas(self) -> int:
        return sum(pods // self.shape.pods for pods in self.totals.values())

    def shift(self, position: int, needs: Amounts, sign: int) -> None:
        """Frees (1) or takes (-1) what a pod needs on a node."""
        free = self.free[position]
        for name, amount in needs:
            free[name] = free.get(name, 0) + sign * amount
        pods = self._pods(position)
        self.totals[self.domains[position]] += pods - self.pods[position]
        self.pods[position] = pods

    def _receivers_of(self, source: int) -> list[int]:
        """Returns the nodes to which pods of this node may move, as far as room allows; nodes of one kind share the answer."""
        kind = kind_of(self.nodes[source])
        if kind not in self._by_kind:
            self._by_kind[kind] = [
                position
                for position in self.receivers
                if position == source or may_move(self.nodes[source], self.nodes[position])
            ]
        return self._by_kind[kind]

    def targets(self, source: int, pod: RunningPod) -> Iterator[int]:
        """Yields nodes that would take the pod now, those that were fullest first, each kind of node once."""
        seen = set()
        for position in self._receivers_of(source):
            self.checks += 1
            if self.checks > self.most_checks:
                raise _SearchEndedError
            if self.free[position].get(self.nodes[position].resource, 0) < pod.gpus or position == source:
                continue
            if not fits(pod.needs, self.free[position]):
                continue
            free = tuple(sorted(self.free[position].items()))
            alike = (self.open[position], self.domains[position], self.kinds[position], free)
            if alike not in seen:
                seen.add(alike)
                yield position

    def move(self, source: int, target: int, pod: RunningPod) -> None:
        self.shift(source, pod.needs, 1)
        self.shift(target, pod.needs, -1)
        self.moved.append(Move(pod=pod, source=self.nodes[source].key, target=self.nodes[target].key))

    def undo(self, source: int, target: int, pod: RunningPod) -> None:
        self.moved.pop()
        self.shift(target, pod.needs, 1)
        self.shift(source, pod.needs, -1)


def smallest_move(
    shape: WantedShape, nodes: Sequence[FreeNode], is_open: Callable[[FreeNode], bool], most_checks: int = MOST_CHECKS
) -> Proposal:
    """Returns the fewest moves after which one more replica fits than now; of equally many pods those with fewest GPUs.

    `nodes` are all that may take part, `is_open` says where the shape may land as far as room allows. First pods of one node at a
    time are tried, then every sequence of moves.
    """
    search = _Search(shape, nodes, is_open, most_checks)
    for number in range(1, MOST_MOVES + 1):
        try:
            moves = _from_one_node(search, number) or (_from_anywhere(search, number) if number > 1 else ())
        except _SearchEndedError:
            return Proposal(shape=shape, complete=False, checks=search.checks)
        if moves:
            return Proposal(shape=shape, moves=moves, checks=search.checks)
    return Proposal(shape=shape, checks=search.checks)


def _from_one_node(search: _Search, number: int) -> tuple[Move, ...]:
    """Moves of so many pods away from one node, which then takes one more pod of the shape."""
    best: tuple[int, tuple[Move, ...]] | None = None
    for source in sorted(range(len(search.nodes)), key=lambda at: _missing(search, at)):
        if best is not None and best[0] <= _missing(search, source)[0]:
            break  # this node and those after it lack at least as many GPUs as the best set holds
        if not search.open[source]:
            continue
        pods = _different(search.nodes[source].movable)
        for chosen in combinations(pods, number):
            gpus = sum(pod.gpus for pod in chosen)
            if best is not None and gpus >= best[0]:
                continue
            if _frees_one(search, source, chosen) and (moves := _place_all(search, source, chosen)):
                best = gpus, moves
    return best[1] if best else ()


def _missing(search: _Search, position: int) -> tuple[int, Key]:
    """Returns the GPUs that one more pod lacks on this node."""
    free = max(search.free[position].get(search.shape.resource, 0), 0)
    return -free % max(search.shape.gpus, 1), search.nodes[position].key


def _different(pods: Sequence[RunningPod]) -> list[RunningPod]:
    """Returns the pods, of those with the same requests at most MOST_MOVES: the others add nothing."""
    counted: dict[Amounts, int] = {}
    chosen = []
    for pod in sorted(pods, key=lambda pod: (pod.gpus, pod.namespace, pod.name)):
        counted[pod.needs] = counted.get(pod.needs, 0) + 1
        if counted[pod.needs] <= MOST_MOVES:
            chosen.append(pod)
    return chosen


def _frees_one(search: _Search, source: int, pods: Sequence[RunningPod]) -> bool:
    """Returns whether the node takes one more pod of the shape without these."""
    search.checks += 1
    if search.checks > search.most_checks:
        raise _SearchEndedError
    free = dict(search.free[source])
    for pod in pods:
        for name, amount in pod.needs:
            free[name] = free.get(name, 0) + amount
    return pods_in(search.shape.needs, free) > search.pods[source]


def _place_all(search: _Search, source: int, pods: Sequence[RunningPod]) -> tuple[Move, ...]:
    """Returns a target for each pod so that one more replica fits in the end; () where there is none."""
    if not pods:
        return tuple(search.moved) if search.replicas() > search.before else ()
    largest = max(pods, key=lambda pod: (pod.gpus, pod.needs))
    rest = [pod for pod in pods if pod is not largest]
    for target in search.targets(source, largest):
        search.move(source, target, largest)
        try:
            if moves := _place_all(search, source, rest):
                return moves
        finally:
            search.undo(source, target, largest)
    return ()


def _from_anywhere(search: _Search, number: int) -> tuple[Move, ...]:
    """Returns the first sequence of so many moves, of any pods, after which one more replica fits."""
    if number == 0:
        return tuple(search.moved) if search.replicas() > search.before else ()
    for source, node in enumerate(search.nodes):
        for pod in _different([pod for pod in node.movable if not _has_moved(search, node, pod)]):
            for target in search.targets(source, pod):
                search.move(source, target, pod)
                try:
                    if moves := _from_anywhere(search, number - 1):
                        return moves
                finally:
                    search.undo(source, target, pod)
    return ()


def _has_moved(search: _Search, node: FreeNode, pod: RunningPod) -> bool:
    return any(move.pod == pod and move.source == node.key for move in search.moved)


def after_moves(nodes: Mapping[Key, FreeNode], moves: Sequence[Move]) -> dict[Key, FreeNode]:
    """Returns the nodes with the pods moved. Raises ValueError for a move that does not fit when its turn comes."""
    changed = dict(nodes)
    for move in moves:
        source, target = changed[move.source], changed[move.target]
        if not fits(move.pod.needs, target.free) or move.pod not in source.movable:
            raise ValueError(f"Pod {move.pod.namespace}/{move.pod.name} cannot move to {move.target[1]}.")
        changed[move.source] = _shifted(source, move.pod, 1)
        changed[move.target] = _shifted(target, move.pod, -1)
    return changed


def _shifted(node: FreeNode, pod: RunningPod, sign: int) -> FreeNode:
    free = dict(node.free)
    for name, amount in pod.needs:
        free[name] = free.get(name, 0) + sign * amount
    movable = tuple(other for other in node.movable if other != pod) if sign > 0 else (*node.movable, pod)
    return msgspec.structs.replace(node, free=free, gpus=max(free[node.resource], 0), movable=movable)
