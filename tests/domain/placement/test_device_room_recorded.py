"""Headroom's way of counting, node after node, against how many more pods the real scheduler placed."""

from __future__ import annotations

import pytest
from msgspec import structs

from fleet.domain.dra.pods import PodDevices
from fleet.domain.placement.device_room import room_on
from fleet.domain.placement.scheduler.devices import ClusterClaims
from tests.domain.dra.recorded import Cluster, Raw, dra_node, scenarios

_MOST = 64
"""The recorded counts go no further."""


def _claim_of(scenario: Raw) -> Raw | None:
    of = (scenario.get("more") or {}).get("of") or {}
    return of if "claim" in of else None


COUNTED = [scenario for scenario in scenarios() if _claim_of(scenario)]


def test_there_are_enough_of_them() -> None:
    assert len(COUNTED) > 60


@pytest.mark.parametrize("scenario", COUNTED, ids=lambda scenario: scenario["name"])
def test_headroom_equals_more(scenario: Raw) -> None:
    cluster = Cluster(scenario)
    for pod, answer in zip(scenario["pending"], scenario["answers"], strict=True):
        cluster.apply(pod, answer)
    of = scenario["more"]["of"]
    namespace = of.get("namespace", "team-a")
    cluster.templates[namespace, "more"] = {"spec": {"spec": of["claim"]}}
    pod = {
        "metadata": {"name": "more", "namespace": namespace},
        "spec": {
            "tolerations": of.get("tolerations") or [],
            "containers": [{"name": "main", "resources": of.get("resources") or {}}],
            "resourceClaims": [{"name": "c", "resourceClaimTemplateName": "more"}],
        },
    }
    asked = cluster.pod_devices(pod)
    assert asked is not None
    made = PodDevices(claims=tuple(structs.replace(claim, made=True) for claim in asked.claims), namespace=namespace)
    claims = ClusterClaims(cluster.devices(), classes=cluster.classes)
    counts = [room_on(made, dra_node(node), claims, _MOST) for node in cluster.open_nodes(pod)]
    assert None not in counts
    assert min(sum(count or 0 for count in counts), _MOST) == scenario["more"]["count"]
