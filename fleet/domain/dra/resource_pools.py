"""Pools of devices as one node sees them: which are whole and valid, and in which order the scheduler tries them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.counters import Counters, problem_of
from fleet.domain.dra.taints import join
from fleet.domain.label_selectors import matches
from fleet.domain.snapshot.dra import (
    CounterSet,
    DeviceClass,
    DeviceTaintRule,
    DraDevice,
    IncompletePool,
    NodeTarget,
    ResourceSlices,
    Terms,
)

PoolId = tuple[str, str]
"""Driver and name: two drivers may each have a pool of one name."""
NODE_NAME = "metadata.name"


class NodePool(msgspec.Struct, frozen=True, kw_only=True):
    """One pool with devices for a node."""

    driver: str
    name: str
    devices: tuple[DraDevice, ...] = ()
    """Those for this node, in the scheduler's order."""
    everything: tuple[DraDevice, ...] = ()
    """All devices of the pool: those for other nodes take of its counters too."""
    counter_sets: tuple[CounterSet, ...] = ()
    incomplete: bool = False
    invalid: str = ""
    """Why nothing can be allocated from it; empty for a valid pool."""

    @property
    def id(self) -> PoolId:
        return self.driver, self.name


class DraNode(msgspec.Struct, frozen=True, kw_only=True):
    """What decides which devices a node may use: its name and labels."""

    name: str
    labels: Mapping[str, str] = {}


class Inventory:
    """The devices of a cluster with every taint joined, by pool, ready to be asked for one node after the other."""

    def __init__(
        self,
        slices: ResourceSlices,
        rules: Sequence[DeviceTaintRule] = (),
        classes: Iterable[DeviceClass] | None = None,
    ) -> None:
        by_pool: dict[PoolId, list[DraDevice]] = {}
        for device in join(slices.devices, rules, classes):
            by_pool.setdefault((device.driver, device.pool), []).append(device)
        self._devices: dict[PoolId, tuple[DraDevice, ...]] = {key: tuple(devices) for key, devices in by_pool.items()}
        self._incomplete: tuple[IncompletePool, ...] = slices.incomplete_pools
        self._sets: dict[PoolId, tuple[CounterSet, ...]] = {}
        for counter_set in slices.counter_sets:
            key = (counter_set.driver, counter_set.pool)
            self._sets[key] = (*self._sets.get(key, ()), counter_set)
        self._problems: dict[PoolId, str] = {
            key: problem_of(self._sets.get(key, ()), (use for device in devices for use in device.consumes))
            for key, devices in self._devices.items()
        }
        self._by_node: dict[str, list[PoolId]] = {}
        self._for_several: list[PoolId] = []
        for key, devices in self._devices.items():
            names = {device.node_name for device in devices}
            if "" in names:
                self._for_several.append(key)
            else:
                for name in names:
                    self._by_node.setdefault(name, []).append(key)

    def pools(self, node: DraNode) -> tuple[NodePool, ...]:
        """Returns the pools with devices for the node, by driver and name; those with binding conditions come last."""
        pools = []
        for key in (*self._by_node.get(node.name, ()), *self._for_several):
            everything = self._devices[key]
            devices = tuple(device for device in everything if is_for(device, node))
            if devices:
                pools.append(
                    NodePool(
                        driver=key[0],
                        name=key[1],
                        devices=devices,
                        everything=everything,
                        counter_sets=self._sets.get(key, ()),
                        invalid=self._problems[key] or _duplicate(devices),
                    )
                )
        pools += [
            NodePool(driver=pool.driver, name=pool.pool, incomplete=True)
            for pool in self._incomplete
            if any(targets(target, node) for target in pool.targets or (NodeTarget(node_name=pool.node_name),))
        ]
        return tuple(sorted(pools, key=_order))

    def whole_pools(self) -> tuple[NodePool, ...]:
        """Returns each complete pool with all of its devices, whatever nodes they are for."""
        return tuple(
            NodePool(
                driver=key[0],
                name=key[1],
                devices=devices,
                everything=devices,
                counter_sets=self._sets.get(key, ()),
                invalid=self._problems[key] or _duplicate(devices),
            )
            for key, devices in sorted(self._devices.items())
        )


def is_for(device: DraDevice, node: DraNode) -> bool:
    """Returns whether the node may use the device."""
    return targets(NodeTarget(node_name=device.node_name, all_nodes=device.all_nodes, terms=device.node_terms), node)


def targets(target: NodeTarget, node: DraNode) -> bool:
    if target.node_name:
        return target.node_name == node.name
    return target.all_nodes or meets_terms(target.terms, node)


def meets_terms(terms: Terms, node: DraNode) -> bool:
    """Returns whether one of a NodeSelector's terms holds for the node; a term without anything in it never does."""
    if not terms:
        return False
    facts = {**node.labels, NODE_NAME: node.name}
    return any(term and matches(term, facts) for term in terms)


def _duplicate(devices: Iterable[DraDevice]) -> str:
    names: set[str] = set()
    for device in devices:
        if device.name in names:
            return f"duplicate device name {device.name}"
        names.add(device.name)
    return ""


def _order(pool: NodePool) -> tuple[bool, str, str]:
    return any(device.binding_conditions for device in pool.devices), pool.driver, pool.name


def counters_left(pool: NodePool, allocated: Allocated) -> Counters:
    """Returns the counters of a pool without what its allocated devices take, those for other nodes included."""
    counters = Counters(pool.counter_sets)
    for device in pool.everything:
        if device.consumes and allocated.holds((device.driver, device.pool, device.name)):
            counters.take(device.consumes)
    return counters
