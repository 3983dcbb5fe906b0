"""Events about nodes, as client-go, NVSentinel and node-problem-detector write them: selected, counted up, forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from kubernetes import client, config

from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import Simulation, serve
from tests.simulator.conftest import Client

PATH = "/api/v1/namespaces/default/events"
WARNINGS = "involvedObject.kind=Node,type!=Normal"


@pytest.fixture(scope="module")
def small() -> Iterator[Simulation]:
    with serve(build_fleet(nodes=24)) as served:
        yield served


def test_the_python_clients_own_model_knows_every_key(small: Simulation, tmp_path: Path) -> None:
    core = client.CoreV1Api(config.new_client_from_config(str(small.kubeconfig(tmp_path / "config")), "prod-us-east"))
    events = core.list_namespaced_event("default", field_selector=WARNINGS).items
    assert {event.reason for event in events} == {"AcceleratedHardwareReady", "GpuThermalWatchIsNotHealthy"}
    assert all(event.involved_object.kind == "Node" and event.last_timestamp and event.count == 1 for event in events)
    raw = Client(small, "prod-us-east").get(PATH)["items"][0]
    assert set(raw) <= set(client.CoreV1Event.attribute_map.values())


def test_fields_select_and_others_are_refused(small: Simulation) -> None:
    asked = Client(small, "research-onprem")
    everything = asked.get(PATH)["items"]
    assert len(asked.get(PATH, fieldSelector=WARNINGS)["items"]) == len(everything) - 1
    (normal,) = asked.get(PATH, fieldSelector="type=Normal")["items"]
    assert asked.get(PATH, fieldSelector=f"involvedObject.name={normal['involvedObject']['name']}")["items"]
    assert asked.ask(PATH, fieldSelector="message=x").status == 400


@pytest.mark.parametrize(
    ("cluster", "index", "component"),
    [
        ("prod-us-east", None, "eks-node-monitoring-agent"),
        ("research-onprem", None, "syslog-health-monitor"),
        ("research-onprem", 3, "kernel-monitor"),
    ],
)
def test_the_same_again_counts_up_and_is_forgotten_after_an_hour(cluster: str, index: int | None, component: str) -> None:
    fleet = build_fleet(nodes=24)
    simulated = fleet[cluster]
    node = simulated.find("operator").name
    with serve(fleet) as served:
        asked = Client(served, cluster)
        for _ in range(3):
            simulated.warn_of_xid(node, 31, index)
            fleet.clock.move(timedelta(seconds=20))
        (event,) = [event for event in asked.get(PATH)["items"] if " 31" in event["message"] or "31" in event["message"][:16]]
        assert (event["count"], event["source"]["component"]) == (3, component)
        assert event["firstTimestamp"] < event["lastTimestamp"]
        assert (event["involvedObject"]["uid"] == node) == (component != "eks-node-monitoring-agent")
        fleet.advance(3700)
        assert asked.get(PATH)["items"] == []
