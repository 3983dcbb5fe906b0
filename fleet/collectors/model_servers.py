"""Model servers: their pods, found by image and labels, and the numbers they export.

Their kinds, ports and metric names are data: domain/catalog/model_servers.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from fleet.collectors.errors import Failure
from fleet.collectors.exporters import Page, Target, target_of
from fleet.collectors.exposition import Sample, decode, parse
from fleet.domain.catalog.model_servers import Server, by_image, by_kind, by_labels
from fleet.domain.pod_resources import gpu_requests
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import ModelServer

_MODEL_LABELS = ("model_name", "model", "served_model_name")
_SHARES = frozenset({"kv_cache"})
_MOST = 1e15
"""Tokens, requests and seconds since a server started; more, or less than nothing, is no value."""
_FINISHED = frozenset({"Succeeded", "Failed"})


def server_of(pod: PodSnapshot) -> Server | None:
    """The kind of model server a pod is: by its image, or by its labels where it has a GPU, unlike a router."""
    if pod.component or not pod.node_name or pod.phase in _FINISHED:
        return None
    result = by_image(container.image for container in pod.containers if not container.init)
    if result is None and (pod.claims or pod.devices or gpu_requests(pod)):
        result = by_labels(pod.labels)
    return result


def find_targets(pods: Iterable[PodSnapshot]) -> list[tuple[Target, Server]]:
    """Every model server's pod, and where it is asked."""
    targets = [(pod, server) for pod in pods if (server := server_of(pod)) is not None]
    return [(target_of(pod, server.port, server.paths), server) for pod, server in targets]


def read(target: Target, body: bytes | bytearray, server: Server) -> list[Sample]:
    """The samples of a page that matter. Raises Failure where it is none of this server's."""
    wanted = frozenset(name for names in server.names.values() for name in names)
    whole = frozenset((*wanted, *(name.replace(":", "_") for name in wanted)))
    rows = list(parse(decode(body), whole))
    if not rows:
        raise Failure(Outcome.MALFORMED, f"The page of {target.pod.name} contains none of the metrics of {server.kind}.")
    return rows


def pod_of(page: Page, server: Server) -> ModelServer:
    """Result of one request, with the pod's own state."""
    pod = page.target.pod
    if page.failure is not None:
        return ModelServer(
            node_name=pod.node_name,
            namespace=pod.namespace,
            pod=pod.name,
            kind=server.kind,
            ready=pod.ready,
            outcome=page.failure.outcome,
            reason=page.failure.reason,
        )
    return parse_numbers(pod, server.kind, page.read if isinstance(page.read, list) else [], page.at)


def parse_numbers(pod: PodSnapshot, kind: str, samples: Sequence[Sample], at: datetime) -> ModelServer:
    """Returns the server's numbers under Muster's names. What it does not export is None.

    Engines of one server are summed; of several caches the fullest counts, because it makes requests wait.
    """
    numbers: dict[str, Any] = {field: _number(field, names, samples) for field, names in by_kind()[kind].names.items()}
    models = {label for sample in samples for key in _MODEL_LABELS if (label := sample.labels.get(key))}
    return ModelServer(
        node_name=pod.node_name,
        namespace=pod.namespace,
        pod=pod.name,
        kind=kind,
        ready=pod.ready,
        outcome=Outcome.COLLECTED,
        at=at,
        models=tuple(sorted(models)),
        **numbers,
    )


def _number(field: str, names: Sequence[str], samples: Sequence[Sample]) -> float | None:
    for name in names:
        most = 1.0 if field in _SHARES else _MOST
        values = [
            sample.value for sample in samples if sample.name in (name, name.replace(":", "_")) and 0 <= sample.value <= most
        ]
        if values:
            return max(values) if field in _SHARES else sum(values)
    return None
