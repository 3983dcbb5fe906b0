"""Forecast against outcome on the simulated fleet: a planned change's forecast is what the cluster shows after the change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from fleet.collectors.connections import Connection, list_connections
from fleet.collectors.device_plugin_config import parse_one
from fleet.domain.classes.requirements import class_in_pools, label_keys
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.label_selectors import parse
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import ClusterSnapshot, DevicePluginConfig
from fleet.domain.whatif.forecast import Forecast, forecast
from fleet.domain.whatif.planned_changes import Reader
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import Simulation, serve
from fleet.simulator.stories import Cluster
from tests.collectors.passes import look

CLUSTER = "research-onprem"
POOLS = (
    PoolSpec(slug="whole", selector=PoolSelector(partitioning=("none",), sharing=("exclusive",))),
    PoolSpec(slug="shared", selector=PoolSelector(sharing=("time-slicing", "mps"))),
    PoolSpec(slug="sliced", selector=PoolSelector(partitioning=("mig-single", "mig-mixed"))),
    PoolSpec(slug="gold", selector=PoolSelector(labels=parse("tier=gold"))),
)
CLASSES = (
    ClassSpec(slug="four", gpus=4, pools=("whole",)),
    ClassSpec(slug="share", isolation="time-sliced", pools=("shared",)),
    ClassSpec(slug="slice", isolation="mig", profile="1g.10gb", pools=("sliced",)),
    ClassSpec(slug="gold", gpus=8, pools=("gold",)),
)


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    fleet = build_fleet(clusters=3, nodes=9, pods_per_node=8)
    for kind, name in (("lab-h100", "whole-h100"), ("lab-l40s-sliced", "shared-l40s"), ("lab-mig-mixed", "cut-a100")):
        fleet[CLUSTER].add_node(kind, name)
    with serve(fleet) as running:
        yield running


@pytest.fixture
def connection(simulation: Simulation, tmp_path: Path) -> Connection:
    connections = list_connections(str(simulation.kubeconfig(tmp_path / "kubeconfig")), [], False)
    return next(connection for connection in connections if connection.name == CLUSTER)


def config_map(snapshot: ClusterSnapshot, **added: dict[str, Any]) -> dict[str, Any]:
    """The device plugin's ConfigMap as it is, with more keys."""
    first = snapshot.device_plugin.configs[0]
    data = {config.key: written(config) for config in snapshot.device_plugin.configs}
    data |= {key.replace("_", "-"): yaml.safe_dump(text) for key, text in added.items()}
    return {"kind": "ConfigMap", "metadata": {"namespace": first.namespace, "name": first.config_map}, "data": data}


def written(config: DevicePluginConfig) -> str:
    resources = [{"name": name, "replicas": count} for name, count in config.replicas.items()]
    settings = {"renameByDefault": config.rename_by_default, "resources": resources}
    sharing = {{"time-slicing": "timeSlicing", "mps": "mps"}[config.sharing]: settings} if config.sharing else {}
    return yaml.safe_dump({"version": "v1", "flags": {"migStrategy": config.mig_strategy}, "sharing": sharing})


def slicing(replicas: int, *, renamed: bool = False) -> dict[str, Any]:
    resources = [{"name": "nvidia.com/gpu", "replicas": replicas}]
    return {"version": "v1", "sharing": {"timeSlicing": {"renameByDefault": renamed, "resources": resources}}}


def ask(snapshot: ClusterSnapshot, *changes: dict[str, Any]) -> Forecast:
    read = Reader(snapshot.nodes, parse_one).read(list(changes))
    return forecast(snapshot, ClusterHistory(), read, POOLS)


def rooms(nodes: Sequence[PlacementNode]) -> dict[str, int]:
    """Replicas of each class, whatever the verdict: a single run proves no rung that needs time."""
    fleet = Fleet(nodes, label_keys(POOLS))
    counted = {}
    for spec in CLASSES:
        asked = [replace(in_pool.requirement, verdicts=()) for in_pool in class_in_pools(spec, POOLS, fleet)]
        counted[spec.slug] = headroom(asked, fleet).replicas
    return counted


def facts(nodes: Sequence[PlacementNode]) -> dict[str, Any]:
    """What of a node must be as it was forecast."""
    return {
        node.name: (
            {slots.name: (slots.capacity, slots.allocatable, slots.replicas, slots.free) for slots in node.resources},
            node.mode,
            node.product,
            node.partitioning,
            node.sharing,
            node.verdict,
            node.schedulable,
            node.pools,
        )
        for node in nodes
    }


Change = Callable[[Cluster], object]
CASES: dict[str, tuple[Callable[[ClusterSnapshot], list[dict[str, Any]]], Change]] = {
    "time-slicing of whole GPUs": (
        lambda seen: [
            config_map(seen, time_slicing_4=slicing(4)),
            {"kind": "labels", "nodes": ["whole-h100"], "set": {"nvidia.com/device-plugin.config": "time-slicing-4"}},
        ],
        lambda cluster: cluster.set_time_slicing("whole-h100", 4),
    ),
    "time-slicing under another name": (
        lambda seen: [
            config_map(seen, time_slicing_4_renamed=slicing(4, renamed=True)),
            {"kind": "labels", "nodes": ["whole-h100"], "set": {"nvidia.com/device-plugin.config": "time-slicing-4-renamed"}},
        ],
        lambda cluster: cluster.set_time_slicing("whole-h100", 4, renamed=True),
    ),
    "sharing ends": (
        lambda seen: [{"kind": "labels", "nodes": ["shared-l40s"], "set": {"nvidia.com/device-plugin.config": "default"}}],
        lambda cluster: cluster.set_time_slicing("shared-l40s", 1),
    ),
    "MIG on whole GPUs": (
        lambda seen: [{"kind": "mig", "nodes": ["whole-h100"], "config": "all-1g.10gb"}],
        lambda cluster: cluster.reconfigure_mig("whole-h100", ["1g.10gb"] * 7),
    ),
    "another MIG layout": (
        lambda seen: [{"kind": "mig", "nodes": ["cut-a100"], "profiles": {"3g.40gb": 2}}],
        lambda cluster: cluster.reconfigure_mig("cut-a100", ["3g.40gb"] * 2, config="custom"),
    ),
    "MIG ends": (
        lambda seen: [{"kind": "mig", "nodes": ["cut-a100"], "config": "all-disabled"}],
        lambda cluster: cluster.reconfigure_mig("cut-a100", []),
    ),
    "a taint": (
        lambda seen: [
            {"kind": "taints", "nodes": ["whole-h100"], "add": [{"key": "team", "value": "a", "effect": "NoSchedule"}]}
        ],
        lambda cluster: cluster.set_taint("whole-h100", "team", "a"),
    ),
    "a label that moves a node into a pool": (
        lambda seen: [{"kind": "labels", "nodes": ["whole-h100"], "set": {"tier": "gold"}}],
        lambda cluster: cluster.set_label("whole-h100", "tier", "gold"),
    ),
    "a cordon": (
        lambda seen: [{"kind": "cordon", "nodes": ["whole-h100"]}],
        lambda cluster: cluster.cordon("whole-h100"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_forecast_is_the_outcome(simulation: Simulation, connection: Connection, case: str) -> None:
    changes, tell = CASES[case]
    before = look(connection)
    answer = ask(before, *changes(before))
    assert answer.not_forecast == {}
    assert answer.nodes, "something changes"
    tell(simulation.fleet[CLUSTER])
    outcome = ask(look(connection), {"kind": "quota", "namespace": "x", "hard": {"pods": "1"}})
    assert facts(answer.placement[1]) == facts(outcome.placement[0])
    assert rooms(answer.placement[1]) == rooms(outcome.placement[0])
    assert answer.slots[1] == outcome.slots[0]
    assert outcome.nodes == ()


@pytest.mark.slow
def test_nodes_that_join_are_like_their_model(simulation: Simulation, connection: Connection) -> None:
    before = look(connection)
    answer = ask(before, {"kind": "add_nodes", "like": "whole-h100", "count": 2})
    simulation.fleet[CLUSTER].add_node("lab-h100", "whole-h100-new-1")
    simulation.fleet[CLUSTER].add_node("lab-h100", "whole-h100-new-2")
    outcome = ask(look(connection), {"kind": "quota", "namespace": "x", "hard": {"pods": "1"}})
    assert rooms(answer.placement[1]) == rooms(outcome.placement[0])
    assert answer.slots[1] == outcome.slots[0]
    assert [node.name for node in answer.nodes] == ["whole-h100-new-1", "whole-h100-new-2"]
    assert answer.nodes[0].before is None
