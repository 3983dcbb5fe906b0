"""A simulated fleet over HTTP, and Muster configured to read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import Simulation, serve
from tests.services.period_runs import east, see

__all__ = ["east", "see", "simulation"]


@pytest.fixture
def simulation(tmp_path: Path, settings: object) -> Iterator[Simulation]:
    """Three small clusters; settings point at them for this process. `simulation.path` is their kubeconfig."""
    with serve(build_fleet(nodes=12, pods_per_node=6, seed=3)) as running:
        path = running.kubeconfig(tmp_path / "kubeconfig")
        django_settings.MUSTER_KUBECONFIG = str(path)
        django_settings.IS_SIMULATED = False
        yield running
