"""The allocator against what kube-scheduler 1.36.2 decided: nodes, devices, errors, and how many more pods fitted."""

from __future__ import annotations

import pytest

from fleet.domain.dra.allocator import AllocationError
from fleet.domain.dra.pods import count_more
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
        return count_more(cluster.devices(), asked, nodes)
    except AllocationError:
        return 0
