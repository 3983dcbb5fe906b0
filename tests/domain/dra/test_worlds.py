"""Node page, pools, class headroom and explain count alike, and as a plain count of the same world by the proposals' rules."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.collectors import device_classes, device_taint_rules, resource_claims, resource_slices
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.devices.slots import add, is_unbounded
from fleet.domain.dra.pods import ClusterDevices, PodDevices
from fleet.domain.dra.resource_pools import DraNode, Inventory
from fleet.domain.dra.wire import read_claim_spec
from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.placement.device_room import room_on
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.snapshot.dra import DeviceClass
from fleet.domain.snapshot.sections import Outcome, SectionReport
from tests.builders import make_node
from tests.domain.dra.worlds import DRIVER, NODES, World
from tests.domain.evaluation.snapshots import snapshot_of

MOST = 40
CLASSES = {DRIVER: "gpu", "mig.nvidia.com": "mig"}


class Read:
    """A world as Muster reads it."""

    def __init__(self, world: World) -> None:
        self.classes: list[DeviceClass] = []
        for name, type_ in CLASSES.items():
            cel = {"expression": f"device.driver == '{DRIVER}' && device.attributes['{DRIVER}'].type == '{type_}'"}
            raw = {"metadata": {"name": name}, "spec": {"selectors": [{"cel": cel}]}}
            self.classes.append(device_classes.parse(msgspec.convert(raw, device_classes.ClassWire)))
        rules = [
            device_taint_rules.parse(msgspec.convert({"metadata": {"name": f"r{n}"}, "spec": spec}, device_taint_rules.RuleWire))
            for n, spec in enumerate(world.rules)
        ]
        self.rules = tuple(rule for rule in rules if rule)
        self.slices = resource_slices.parse([msgspec.convert(raw, SliceWire) for raw in world.slices], "v1")
        held = [
            {"metadata": {"name": f"h{n}", "namespace": "x"}, "status": {"allocation": {"devices": {"results": [row]}}}}
            for n, row in enumerate(world.held)
        ]
        wires = [msgspec.convert(raw, resource_claims.ClaimWire) for raw in held]
        self.allocations = tuple(allocation for wire in wires for allocation in resource_claims.parse(wire))

    def inspected(self, *, idle: bool = False) -> dict[str, NodeDevices]:
        """Returns what the pages of the nodes show; `idle`: if nothing were held."""
        nodes = [make_node(name, gpus=0, labels=labels | {"nvidia.com/gpu.present": "true"}) for name, labels in NODES.items()]
        snapshot = snapshot_of(*nodes)
        read = {name: SectionReport(name=name, outcome=Outcome.COLLECTED) for name in ("device_taint_rules", "device_classes")}
        snapshot = msgspec.structs.replace(
            snapshot,
            sections=snapshot.sections | read,
            slices=self.slices,
            allocations=() if idle else self.allocations,
            taint_rules=self.rules,
            device_classes=tuple(self.classes),
        )
        return {row.node.name: row.devices for row in evaluate(snapshot).nodes}

    def claims(self, pool: str = "") -> ClusterClaims:
        slices = self.slices
        if pool:
            slices = msgspec.structs.replace(slices, devices=tuple(row for row in slices.devices if row.pool == pool))
        inventory = Inventory(slices, self.rules, self.classes)
        return ClusterClaims(ClusterDevices(inventory, self.classes, self.allocations), classes=self.classes)

    def explained(self, node: str, device_class: str, *, profile: str = "", pool: str = "") -> int | None:
        """Returns how many such pods headroom and explain place on the node."""
        exact: dict[str, Any] = {"deviceClassName": device_class}
        if profile:
            exact["selectors"] = [{"cel": {"expression": f"device.attributes['{DRIVER}'].profile == '{profile}'"}}]
        spec = {"devices": {"requests": [{"name": "r", "exactly": exact}]}}
        claim = msgspec.structs.replace(read_claim_spec("x", "c", spec), made=True)
        asked = PodDevices(claims=(claim,), namespace="x")
        return room_on(asked, DraNode(name=node, labels=NODES[node]), self.claims(pool), MOST)


def free_of(seen: NodeDevices, name: str) -> int | None:
    """Returns the free slots of a class on the node's page, as far as the counts go; None where the page calls them unknown."""
    rows = [row for row in seen.resources if row.name == name and row.kind != "dra-cut"]
    free = add(MOST if is_unbounded(row) and row.free is None else row.free for row in rows)
    return None if free is None else min(free, MOST)


def check(seed: int) -> int:
    world = World(seed)
    read = Read(world)
    seen, idle = read.inspected(), read.inspected(idle=True)
    compared = 0
    for node in NODES:
        for fact in ("mode", "partitioning", "sharing", "replicas", "physical"):
            assert getattr(seen[node], fact) == getattr(idle[node], fact), (seed, node, fact)
        for name, type_ in CLASSES.items():
            everywhere = world.count(node, type_=type_)
            assert read.explained(node, name) == everywhere, (seed, node, name)
            of_own = sum(world.count(node, pool=pool, type_=type_) for pool in world.own_pools(node))
            placements = any(row.type == "mig" and not row.uuid for row in read.slices.devices if row.pool == node)
            shown = free_of(seen[node], name)
            if shown is None:
                assert node in {pool.pool for pool in read.slices.incomplete_pools}, (seed, node, name)
            elif not (placements and type_ == "mig"):
                assert shown == min(of_own, MOST), (seed, node, name)
                compared += 1
        for pool in seen[node].dra_pools:
            where = (seed, node, pool.pool)
            assert pool.available == world.available(node, pool.pool), where
            assert pool.unavailable == world.unavailable(node, pool.pool), where
            assert pool.total == len(world.pools(node)[pool.pool]), where
            held = {row["device"] for row in world.held if row["pool"] == pool.pool and not row.get("adminAccess")}
            assert pool.allocated == sum(1 for row in world.pools(node)[pool.pool] if row["name"] in held), where
            for cut in pool.cuts:
                assert cut.more == world.count(node, pool=pool.pool, profile=cut.profile), (*where, cut)
                compared += 1
        assert {pool.pool for pool in seen[node].dra_pools} == {name for name, rows in world.pools(node).items() if rows}, seed
    return compared


@pytest.mark.parametrize("seed", range(20))
def test_a_world_is_counted_alike_everywhere(seed: int) -> None:
    assert check(seed) > 0


@pytest.mark.slow
def test_thousands_of_worlds() -> None:
    assert sum(check(seed) for seed in (*range(20, 80), *range(1000, 4000))) > 10_000
