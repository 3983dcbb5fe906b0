"""A tenant's pod that answers Muster as the API server would: it ends no request to the pods of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.collectors.deadline import Deadline
from fleet.collectors.exporters import ProxyWay, read_all, target_of
from fleet.collectors.kube import Client
from fleet.domain.snapshot.sections import Outcome
from tests.builders import make_pod
from tests.collectors.clients import client_for
from tests.collectors.fake_api import Reply, serving, write_kubeconfig
from tests.factories import NOON

STATUS = {"kind": "Status", "apiVersion": "v1", "reason": "Unauthorized", "code": 401}


@pytest.mark.parametrize(
    ("body", "outcome"),
    [(STATUS, Outcome.UNAUTHORISED), ("[" * 50_000, Outcome.REFUSED), ("no", Outcome.REFUSED)],
    ids=["as the API server", "brackets", "text"],
)
def test_a_pods_401_costs_its_own_namespace_and_one_renewal(
    body: Any, outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[int] = []
    renew = Client._renew
    monkeypatch.setattr(Client, "_renew", lambda *given: renewed.append(1) or renew(*given))
    pods = [make_pod(f"llm-{number}", namespace=f"team-{number}") for number in range(3)]
    pods.append(make_pod("exporter", namespace="gpu-operator"))
    routes: dict[str, Any] = {
        f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}:9400/proxy/metrics": Reply(body, 401) for pod in pods[:3]
    }
    routes["/api/v1/namespaces/gpu-operator/pods/exporter:9400/proxy/metrics"] = Reply("up 1\n")
    with serving(routes) as api:
        client = client_for(write_kubeconfig(tmp_path / "config", api.url, {"token": "t"}))
        pages = read_all(
            [target_of(pod, 9400) for pod in pods],
            ProxyWay(client),
            lambda _target, page, _at: bytes(page),
            deadline=Deadline(300.0),
            now=lambda: NOON,
            workers=1,
            timeout_s=300.0,
        )
    assert [page.failure.outcome if page.failure else page.read for page in pages] == [outcome, outcome, outcome, b"up 1\n"]
    assert len(renewed) == 1
