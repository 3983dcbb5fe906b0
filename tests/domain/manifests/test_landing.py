"""Generated pods, read back and placed on the fleet by what the scheduler alone looks at: they land where the class says."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fleet.domain.classes.requirements import class_in_pools
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.render import kinds_of, manifest, to_yaml
from fleet.domain.placement.headroom import headroom, place
from fleet.domain.placement.matching import pods_that_fit, reasons
from fleet.domain.placement.requirement import PodRequirement
from tests.domain.classes.worlds import CLASSES, POOLS, fleet
from tests.pod_specs import requirement_of

WORKLOADS = ("pod", "deployment", "leaderworkerset")
EVERY = [
    (slug, kind.id)
    for slug, class_spec in CLASSES.items()
    for kind in kinds_of(class_in_pools(class_spec, POOLS, fleet())[0])
    if kind.id in WORKLOADS
]


def read_back(text: str) -> PodRequirement:
    """The workload in a YAML stream as a requirement of one of its pods."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    templates = {
        document["metadata"]["name"]: document["spec"] for document in documents if document["kind"] == "ResourceClaimTemplate"
    }
    (workload,) = [item for item in documents if item["kind"] != "ResourceClaimTemplate"]
    spec = workload["spec"]
    match workload["kind"]:
        case "Deployment":
            spec = spec["template"]["spec"]
        case "LeaderWorkerSet":
            spec = spec["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    return requirement_of(spec, templates)


@pytest.mark.parametrize(("slug", "kind"), EVERY)
def test_it_lands_where_the_class_says_and_nowhere_else(slug: str, kind: str) -> None:
    everything = fleet()
    asked = class_in_pools(CLASSES[slug], POOLS, everything)
    written = read_back(to_yaml(manifest(kind, asked, Parameters())))
    requested_spec = asked[0].requirement
    clusters = {node.cluster for node in everything.nodes if asked[0].pool.slug in node.pools}
    landed = 0
    for node in everything.nodes:
        # A manifest is applied in the pool's cluster; whether the node is good is the ladder's word, not the scheduler's.
        if node.cluster in clusters and node.verdict == "ready":
            assert pods_that_fit(written, node) == pods_that_fit(requested_spec, node), (node.name, reasons(requested_spec, node))
            landed += pods_that_fit(written, node)
    assert landed >= headroom([requested_spec], everything).replicas * requested_spec.pods > 0


@pytest.mark.parametrize("slug", CLASSES)
def test_every_replica_that_is_promised_has_a_place(slug: str) -> None:
    everything = fleet()
    asked = [class_in_pool.requirement for class_in_pool in class_in_pools(CLASSES[slug], POOLS, everything)]
    placed = place(asked, everything, 1_000)
    assert len(placed) == headroom(asked, everything).replicas
    for item in placed:
        assert all(item.pool in node.pools for node in item.nodes)
