"""Model servers: their pods, found by image and labels, and the numbers they tell of themselves.

What kinds there are, where they listen and what they call things is data: domain/catalog/model_servers.toml.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from fleet.collectors.errors import Failure
from fleet.collectors.exporters import Page, Target, target_of
from fleet.collectors.exposition import Sample, decode, parse
from fleet.domain.catalog.model_servers import Server, by_image, by_kind, by_labels
from fleet.domain.outcomes import Outcome
from fleet.domain.requests import gpu_requests
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.telemetry import ModelServer

_MODEL_LABELS = ("model_name", "model", "served_model_name")
_SHARES = frozenset({"kv_cache"})
_FINISHED = frozenset({"Succeeded", "Failed"})


def server_of(pod: PodSnapshot) -> Server | None:
    """The kind of model server a pod is: by its image, or by its labels where it has a GPU, which a router in front has not."""
    if pod.component or not pod.node_name or pod.phase in _FINISHED:
        return None
    found = by_image(container.image for container in pod.containers if not container.init)
    if found is None and (pod.claims or pod.devices or gpu_requests(pod)):
        found = by_labels(pod.labels)
    return found


def find_targets(pods: Iterable[PodSnapshot]) -> list[tuple[Target, Server]]:
    """Every model server's pod, and where it is asked."""
    found = [(pod, server) for pod in pods if (server := server_of(pod)) is not None]
    return [(target_of(pod, server.port, server.paths), server) for pod, server in found]


def read(target: Target, body: bytes | bytearray, server: Server) -> list[Sample]:
    """The samples of a page that matter. Raises Failure where it is none of this server's."""
    wanted = frozenset(name for names in server.names.values() for name in names)
    whole = frozenset((*wanted, *(name.replace(":", "_") for name in wanted)))
    found = list(parse(decode(body), whole))
    if not found:
        raise Failure(Outcome.MALFORMED, f"The page of {target.pod.name} holds none of the numbers that {server.kind} tells.")
    return found


def pod_of(page: Page, server: Server) -> ModelServer:
    """What one asking gave, with the pod's own state."""
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
    """Muster's names for the server's own numbers. What it does not tell is None.

    Engines of one server are added up; of shares of a cache the fullest counts, because that one makes requests wait.
    """
    numbers: dict[str, Any] = {field: _number(field, names, samples) for field, names in by_kind()[kind].names.items()}
    models = {label for one in samples for key in _MODEL_LABELS if (label := one.labels.get(key))}
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
        values = [one.value for one in samples if one.name in (name, name.replace(":", "_")) and math.isfinite(one.value)]
        if values:
            return max(values) if field in _SHARES else sum(values)
    return None
