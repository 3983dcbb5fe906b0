"""The allocator against what kube-scheduler 1.36.2 decided: nodes, devices, errors, and how many more pods fitted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fleet.domain.dra.choices import AllocationError
from fleet.domain.dra.pods import ClusterDevices, PodDevices
from fleet.domain.dra.resource_pools import DraNode
from tests.domain.dra.recorded import Cluster, Raw, dra_node, plugin_of, recorded_results, results, scenarios

SCENARIOS = list(scenarios())


def test_every_scenario_is_there() -> None:
    assert len(SCENARIOS) == 128


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_the_same_nodes_devices_and_refusals(scenario: Raw) -> None:
    cluster = Cluster(scenario)
    for pod, answer in zip(scenario["pending"], scenario["answers"], strict=True):
        _compare(cluster, pod, answer)
        cluster.apply(pod, answer)
    if more := scenario.get("more"):
        assert _count_more(cluster, more["of"]) == more["count"]


def _compare(cluster: Cluster, pod: Raw, answer: Raw) -> None:
    asked = cluster.pod_devices(pod)
    if answer.get("decided"):
        assert asked is None
        return
    assert asked is not None
    devices = cluster.devices()
    if (answer["message"] or "").startswith("running "):
        with pytest.raises(AllocationError) as error:
            cluster.feasible(pod, devices, asked)
        # the name of a claim made for the pod is drawn by lot
        assert str(error.value).rsplit(":", 1)[-1].split("request ")[-1] in answer["message"]
        return
    assert cluster.feasible(pod, devices, asked) == answer["feasible"]
    if answer["node"] is not None:
        node = next(node for node in cluster.nodes if node["metadata"]["name"] == answer["node"])
        chosen = devices.check(asked, dra_node(node), plugin_of(node)).chosen
        recorded = [recorded_results(claim["allocation"]) for claim in _newly_allocated(cluster, pod, answer)]
        assert results(chosen, len(recorded)) == recorded


def _newly_allocated(cluster: Cluster, pod: Raw, answer: Raw) -> list[Raw]:
    namespace, claims = pod["metadata"]["namespace"], answer.get("claims") or {}
    names = [use["name"] for use in pod["spec"].get("resourceClaims") or ()]
    ordered = [claims[name] for name in names] + [claim for name, claim in claims.items() if name not in names]
    return [
        claim
        for claim in ordered
        if "allocation" not in ((cluster.claims.get((namespace, claim["claim"])) or {}).get("status") or {})
    ]


def _count_more(cluster: Cluster, of: Raw) -> int:
    namespace = of.get("namespace", "team-a")
    pod: Raw = {"metadata": {"name": "more", "namespace": namespace}, "spec": {"tolerations": of.get("tolerations") or []}}
    pod["spec"]["containers"] = [{"name": "main", "resources": of.get("resources") or {}}]
    if "claim" in of:
        pod["spec"]["resourceClaims"] = [{"name": "c", "resourceClaimTemplateName": "more"}]
        cluster.templates[namespace, "more"] = {"spec": {"spec": of["claim"]}}
    asked = cluster.pod_devices(pod)
    assert asked is not None
    nodes = [dra_node(node) for node in cluster.open_nodes(pod)]
    try:
        return _count_of(cluster.devices(), asked, nodes)
    except AllocationError:
        return 0


def _count_of(
    devices: ClusterDevices, pod: PodDevices, nodes: Sequence[DraNode], *, most: int = 64, per_node: int | None = None
) -> int:
    """Returns how many more pods like this one the nodes have devices for, up to `most`; counts them as allocated.

    `per_node` limits the pods per node. Raises AllocationError where one node makes the scheduler fail, which ends the count
    on every node, and UnknownAllocationError.
    """
    count = 0
    on_node: dict[str, int] = {}
    open_nodes = list(nodes)
    while count < most and open_nodes:
        outcomes = [(node, devices.check(pod, node)) for node in open_nodes]
        # What one node refuses now it also refuses when more is allocated.
        open_nodes = [node for node, outcome in outcomes if outcome.chosen is not None]
        landed = next(((node, outcome.chosen) for node, outcome in outcomes if outcome.chosen is not None), None)
        if landed is None:
            break
        node, chosen = landed
        devices.hold(chosen or ())
        count += 1
        on_node[node.name] = on_node.get(node.name, 0) + 1
        if per_node is not None and on_node[node.name] >= per_node:
            open_nodes = [node_left for node_left in open_nodes if node_left.name != node.name]
    return count
