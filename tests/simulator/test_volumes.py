"""The simulated API serves what its pods mount, and says where its machines are in the network."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.collectors.connections import list_connections
from fleet.collectors.run import collect
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.topology.levels import domain_of, levels
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import serve
from tests.kept_clients import close_clients


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> list[ClusterSnapshot]:
    """Every cluster of the demo's fleet, as Muster collects it."""
    with serve(build_fleet(clusters=3, nodes=40, pods_per_node=15)) as simulation:
        path: Path = simulation.kubeconfig(tmp_path_factory.mktemp("kube") / "config")
        try:
            connections = list_connections(str(path), [], False)
            return [collect(connection, now=lambda: datetime.now(UTC)) for connection in connections]
        finally:
            close_clients()


def test_every_claim_of_a_pod_is_bound_to_a_volume_that_any_node_mounts(snapshots: list[ClusterSnapshot]) -> None:
    mounted = 0
    for snapshot in snapshots:
        storage = snapshot.scheduling.storage
        assert storage is not None
        claims = {(claim.namespace, claim.name): claim for claim in storage.claims}
        volumes = {volume.name for volume in storage.volumes}
        for pod in snapshot.pods:
            for name in pod.scheduling.volume_claims if pod.scheduling else ():
                mounted += 1
                assert claims[pod.namespace, name].volume in volumes
        assert not storage.tracks_capacity
    assert mounted > 10


def test_nodes_are_grouped_by_rack_block_and_zone(snapshots: list[ClusterSnapshot]) -> None:
    placed: Counter[str] = Counter()
    for snapshot in snapshots:
        for node in snapshot.nodes:
            placed.update({level.id for level in levels() if domain_of(level.id, snapshot.name, node.labels) is not None})
    assert {"rack", "block", "zone"} <= set(placed)
