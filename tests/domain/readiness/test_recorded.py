"""Nodes as a real API server answered them climb the ladder: none of them has pods or telemetry with it."""

from __future__ import annotations

import pytest

from tests.domain.devices.test_recorded_nodes import NODES, recorded
from tests.domain.readiness.world import World, samples, telemetry

BROKEN = {
    # alone, with nothing but its own object: first what fails, else the first rung that nothing proves
    "h100": ("unknown", "container_runtime"),
    "h100__gpu-lost": ("not_ready", "resources_advertised"),
    "h100__no-plugin": ("not_ready", "resources_advertised"),
    "h100__notready": ("not_ready", "kubelet_ready"),
    "h200": ("unknown", "container_runtime"),
    "h200__driver-upgrade": ("excluded", ""),
    "h200__xid-cond": ("unknown", "container_runtime"),
    "a100-mig-single": ("unknown", "container_runtime"),
    "a100-mig-single__mig-pending": ("excluded", ""),
    "a100-mig-mixed": ("unknown", "container_runtime"),
    "a100-mig-mixed__cordoned": ("excluded", ""),
    "t4-timeslice": ("unknown", "container_runtime"),
    "t4-timeslice-renamed": ("unknown", "container_runtime"),
    "t4-timeslice__mem-pressure": ("unknown", "container_runtime"),
    "t4-timeslice__stale-label": ("not_ready", "labels_accurate"),
    "l40s-mps": ("unknown", "container_runtime"),
    "l40s-mps__deleting-taint": ("unknown", "container_runtime"),
    "mi300x": ("unknown", "container_runtime"),
    "gaudi2": ("unknown", "container_runtime"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_node_that_comes_alone(name: str) -> None:
    node = recorded(name)
    cards = 8
    readings = samples(cards, node=node.name, model="", driver_version="")
    readiness = World(node=node, telemetry=telemetry(readings, node=node.name)).expecting(None).evaluate_ladder()
    assert (readiness.verdict, readiness.broken_rung) == BROKEN[name], [
        (rung.id, rung.status, rung.reason) for rung in readiness.rungs
    ]
    assert readiness.verdict != "ready"
    assert all(item.reason for item in readiness.rungs)


def test_every_recorded_gpu_node_climbs() -> None:
    assert set(NODES) - set(BROKEN) == {"cpu", "gb200-dra"}
