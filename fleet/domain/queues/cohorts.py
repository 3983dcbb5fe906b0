"""What a ClusterQueue has left of a flavor, by Kueue's own arithmetic over the tree of cohorts.

Kueue pkg/cache/scheduler/resource_node.go (v0.14 to v0.18): a node of the tree keeps nominal − lendingLimit to itself, lends
the rest to its parent, and borrows from it up to borrowingLimit.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fleet.domain.snapshot.queues import ClusterQueue, FlavorQuota, QueueObjects

_DEEPEST = 32
"""Cohorts above a queue; a longer chain is a cycle, in which Kueue admits nothing."""
Key = tuple[str, str]
"""Flavor and resource."""


class _Node(msgspec.Struct):
    """A ClusterQueue or cohort, for one flavor and resource."""

    nominal: int = 0
    borrowing_limit: int | None = None
    lending_limit: int | None = None
    usage: int = 0
    subtree: int = 0
    parent: str = ""

    @property
    def kept(self) -> int:
        """Returns what it does not lend."""
        return 0 if self.lending_limit is None else max(0, self.subtree - self.lending_limit)


class Quotas:
    """The quota of every ClusterQueue of one cluster."""

    def __init__(self, objects: QueueObjects) -> None:
        self._queues = {queue.name: queue for queue in objects.cluster_queues}
        self._cohorts = {cohort.name: cohort for cohort in objects.cohorts or ()}
        self._complete = objects.cohorts is not None

    def available(self, queue: ClusterQueue, key: Key) -> int | None:
        """Returns what the queue can still reserve, borrowing included; negative where it has more than it may.

        None where a number is unknown, where cohorts were not read, or where they form a cycle.
        """
        if not queue.cohort:
            own = _quota(queue.quotas, key)
            return None if own is None or own.nominal is None or own.reserved is None else own.nominal - own.reserved
        if not self._complete:
            return None
        tree = self._tree(key)
        return None if tree is None else _available(f"queue {queue.name}", tree, 0)

    def _tree(self, key: Key) -> dict[str, _Node] | None:
        """Returns the queues and cohorts with quota and use summed up to the roots; None where a number is unknown."""
        tree: dict[str, _Node] = {}
        for name, cohort in self._cohorts.items():
            parent = f"cohort {cohort.parent}" if cohort.parent else ""
            node = _node(_quota(cohort.quotas, key), parent)
            if node is None:
                return None
            tree[f"cohort {name}"] = node
        for queue in self._queues.values():
            own = _node(_quota(queue.quotas, key), f"cohort {queue.cohort}" if queue.cohort else "")
            if own is None:
                return None
            tree[f"queue {queue.name}"] = own
        for node in list(tree.values()):
            if node.parent and node.parent not in tree:
                tree[node.parent] = _Node()
        depths = {name: _depth(name, tree) for name in tree}
        if max(depths.values(), default=0) > _DEEPEST:
            return None
        for node in tree.values():
            node.subtree = node.nominal
        for name in sorted(tree, key=lambda name: -depths[name]):
            node = tree[name]
            if node.parent:
                parent_node = tree[node.parent]
                parent_node.subtree += node.subtree - node.kept
                parent_node.usage += max(0, node.usage - node.kept)
        return tree


def _available(name: str, tree: dict[str, _Node], depth: int) -> int:
    node = tree[name]
    if not node.parent:
        return node.subtree - node.usage
    above = _available(node.parent, tree, depth + 1)
    if node.borrowing_limit is not None:
        lent, used = node.subtree - node.kept, max(0, node.usage - node.kept)
        above = min(above, lent - used + node.borrowing_limit)
    return max(0, node.kept - node.usage) + above


def _depth(name: str, tree: dict[str, _Node]) -> int:
    depth = 0
    while tree[name].parent and depth <= _DEEPEST:
        name, depth = tree[name].parent, depth + 1
    return depth


def _quota(quotas: Iterable[FlavorQuota], key: Key) -> FlavorQuota | None:
    return next((quota for quota in quotas if (quota.flavor, quota.resource) == key), None)


def _node(quota: FlavorQuota | None, parent: str) -> _Node | None:
    """Returns the node of a quota, an empty one for none; None where a number of it is unknown."""
    if quota is None:
        return _Node(parent=parent)
    if quota.nominal is None or quota.reserved is None:
        return None
    return _Node(quota.nominal, quota.borrowing_limit, quota.lending_limit, quota.reserved, 0, parent)
