"""One simulated cluster, and the connection to it. Tests that need another one use the same names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.collectors import kube, session
from fleet.collectors.connections import Connection
from fleet.domain.snapshot import ClusterSnapshot
from fleet.simulator.faults import Faults
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import Simulation, serve
from tests.collectors.passes import CLUSTER, look, only_connection


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    with serve(build_fleet(clusters=1, pods_per_node=15)) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses keep their order, and are shorter."""
    monkeypatch.setattr(session, "_BACKOFF_S", 0.02)
    monkeypatch.setattr(kube, "CONNECT_TIMEOUT_S", 1.0)


@pytest.fixture
def faults(simulation: Simulation) -> Iterator[Faults]:
    result = simulation.faults(CLUSTER)
    yield result
    result.clear()


@pytest.fixture
def connection(simulation: Simulation, tmp_path: Path) -> Connection:
    return only_connection(simulation.kubeconfig(tmp_path / "kubeconfig"))


@pytest.fixture(scope="module")
def whole(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> ClusterSnapshot:
    """What a run sees when nothing is wrong."""
    return look(only_connection(simulation.kubeconfig(tmp_path_factory.mktemp("whole") / "kubeconfig")))
