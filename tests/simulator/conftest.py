"""A small fleet over real HTTP, shared by the tests that only read; tests that change it make their own."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3

from fleet.simulator.fleet import Fleet, build_fleet
from fleet.simulator.server import Simulation, serve


@dataclass
class Client:
    """A plain HTTP client for one cluster of a simulation."""

    simulation: Simulation
    cluster: str

    def __post_init__(self) -> None:
        self.pool = urllib3.PoolManager(
            retries=False, ssl_context=ssl.create_default_context(cadata=self.simulation.authority.decode())
        )

    def ask(
        self,
        path: str,
        method: str = "GET",
        token: str | None = "",
        headers: dict[str, str] | None = None,
        body: Any = None,
        **params: Any,
    ) -> urllib3.BaseHTTPResponse:
        """One request, as the reader unless another token is given (None: without one)."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.simulation.token(self.cluster)}"
        query = f"?{urlencode(params)}" if params else ""
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        data = json.dumps(body).encode() if body is not None else None
        url = self.simulation.server_url(self.cluster) + path + query
        return self.pool.request(method, url, headers=sent, body=data, timeout=10.0, preload_content=True)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The JSON of a GET that must succeed."""
        answer = self.ask(path, **params)
        assert answer.status == 200, answer.data[:300]
        document: dict[str, Any] = answer.json()
        return document

    def lines(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> list[dict[str, Any]]:
        """The events of a watch that ends by itself (timeoutSeconds)."""
        answer = self.ask(path, headers=headers, watch="1", **params)
        assert answer.status == 200, answer.data[:300]
        return [json.loads(line) for line in answer.data.splitlines()]


@pytest.fixture(scope="session")
def simulation() -> Iterator[Simulation]:
    """The default fleet, frozen. Read only."""
    with serve(build_fleet()) as served:
        yield served


@pytest.fixture(scope="session")
def fleet(simulation: Simulation) -> Fleet:
    return simulation.fleet


@pytest.fixture
def us_east(simulation: Simulation) -> Client:
    """The EKS cluster: GPU Operator and DRA. Read only."""
    return Client(simulation, "prod-us-east")


@pytest.fixture
def eu_west(simulation: Simulation) -> Client:
    """The GKE cluster: neither operator nor DRA. Read only."""
    return Client(simulation, "prod-eu-west")


@pytest.fixture
def lab(simulation: Simulation) -> Client:
    """The kubeadm cluster: an older operator, every odd kind of node. Read only."""
    return Client(simulation, "research-onprem")


@pytest.fixture
def own() -> Iterator[Client]:
    """A small cluster of one's own, to be changed at will."""
    with serve(build_fleet(clusters=1, nodes=8, seed=5)) as served:
        yield Client(served, "prod-us-east")
