"""Pod resources, by the scheduler's own arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import NamedTuple, TypeVar

from fleet.domain import labels
from fleet.domain.quantities import parse_quantity, parse_units
from fleet.domain.snapshot import ContainerSnapshot, PodSnapshot

Amounts = dict[str, int | None]
"""Resource name to slots; None where a quantity could not be read."""

# 16Gi of a GPU resource was meant as memory. Such a pod fits on no node; its number would distort every sum.
_MOST = 10**9
_FINISHED = frozenset({"Succeeded", "Failed"})


def holds(pod: PodSnapshot) -> bool:
    """Returns whether the pod occupies what it requested: it is bound to a node and not finished.

    A terminating pod still does.
    """
    return bool(pod.node_name) and pod.phase not in _FINISHED


def effective_requests(pod: PodSnapshot) -> Amounts:
    """Returns what the scheduler reserves for the pod, per extended resource.

    All app containers and sidecars (restartable init containers) together, or, where that is more, the largest moment of
    start-up: one ordinary init container with the sidecars that were started before it. Container state does not matter. The
    overhead of a RuntimeClass is included where the pod was collected with what the scheduler reads.
    """
    if pod.scheduling is not None:
        amounts = pod.scheduling.requests
        return {name: _bounded(amount) for name, amount in amounts.items() if "/" in name and amount != 0}
    containers = [container for container in pod.containers if container.requests]
    if len(containers) == 1:
        return _nonzero(_asked(containers[0]))
    running: Amounts = {}
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in containers:
        asked = _asked(container)
        if not container.init:
            _sum_into(running, asked)
            continue
        if container.sidecar:
            _sum_into(running, asked)
            _sum_into(sidecars, asked)
            moment = sidecars
        else:
            _sum_into(asked, sidecars)
            moment = asked
        _maximum_into(peak, moment)
    if peak:
        _maximum_into(running, peak)
    return _nonzero(running)


class ContainerRequests(NamedTuple):
    """Requests of one container for any resource, as written; limits replace missing requests."""

    requests: Mapping[str, str]
    init: bool = False
    sidecar: bool = False


def scheduled_requests(
    containers: Iterable[ContainerRequests],
    overhead: Mapping[str, str] | None = None,
    pod_requests: Mapping[str, str] | None = None,
    pod_limits: Mapping[str, str] | None = None,
) -> Amounts:
    """Returns what the scheduler reserves for a pod: cpu in millicores, memory and storage in bytes, all else in units.

    Containers and sidecars together, or the largest moment of start-up where that is more. Requests of the pod as a whole
    (PodLevelResources: cpu, memory, huge pages) replace those of its containers, the overhead of its RuntimeClass is added
    (k8s.io/component-helpers/resource: PodRequests).
    """
    running: _Exact = {}
    sidecars: _Exact = {}
    peak: _Exact = {}
    for container in containers:
        amounts = _exact(container.requests)
        if not container.init:
            _sum_into(running, amounts)
        elif container.sidecar:
            _sum_into(running, amounts)
            _sum_into(sidecars, amounts)
            _maximum_into(peak, sidecars)
        else:
            _sum_into(amounts, sidecars)
            _maximum_into(peak, amounts)
    _maximum_into(running, peak)
    for name, amount in _exact(pod_limits or {}).items():
        # The API server sets missing pod-level requests to the limit where no container requests the resource.
        if _is_pod_level(name) and name not in running and name not in (pod_requests or {}):
            running[name] = amount
    for name, amount in _exact(pod_requests or {}).items():
        if _is_pod_level(name):
            running[name] = amount
    _sum_into(running, _exact(overhead or {}))
    return {name: None if amount is None else ceil(amount) for name, amount in running.items() if amount != 0}


_Exact = dict[str, int | Fraction | None]
_Amount = TypeVar("_Amount", int | None, int | Fraction | None)


def _is_pod_level(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _exact(requests: Mapping[str, str]) -> _Exact:
    return {name: amount_of(name, text) for name, text in requests.items()}


@lru_cache(maxsize=8192)  # a fleet's pods and nodes repeat the same few hundred quantities
def amount_of(name: str, text: str) -> int | Fraction | None:
    """A quantity in the unit the scheduler counts the resource in; None for a text that is not a quantity of 0 or more."""
    amount = parse_quantity(text)
    if amount is None or amount < 0:
        return None
    if name == "cpu":
        amount *= 1000
    return int(amount) if amount.denominator == 1 else amount


def _sum_into(total: dict[str, _Amount], amounts: Mapping[str, _Amount]) -> None:
    for name, amount in amounts.items():
        before = total.get(name, 0)
        total[name] = None if before is None or amount is None else before + amount


def _maximum_into(total: dict[str, _Amount], amounts: Mapping[str, _Amount]) -> None:
    for name, amount in amounts.items():
        before = total.get(name, 0)
        total[name] = None if before is None or amount is None else max(before, amount)


def gpu_requests(pod: PodSnapshot) -> dict[str, int]:
    """Returns the pod's effective request of GPU resources, in slots; empty for a pod that asks for none by resource name."""
    amounts = effective_requests(pod)
    return {name: amount for name, amount in amounts.items() if amount is not None and labels.is_gpu_resource(name)}


def wants_gpu(pod: PodSnapshot) -> bool:
    """Returns whether the pod asks for a GPU or a part of one.

    By claim, by slots, by memory or compute of GPUs, or by annotation.
    """
    if pod.claims or pod.gpu_share:
        return True
    names = [name for container in pod.containers for name in container.requests]
    return any(labels.is_gpu_quantity(name) for name in names) or (bool(names) and bool(gpu_requests(pod)))


def requested_by_resource(pods: Iterable[PodSnapshot]) -> Amounts:
    """Returns the slots of each GPU resource that these pods use. Pass the pods of one node: node names are not checked."""
    held: Amounts = {}
    for pod in pods:
        if pod.containers and holds(pod):
            for name, amount in effective_requests(pod).items():
                if labels.is_gpu_resource(name):
                    held[name] = None if amount is None or held.get(name, 0) is None else (held.get(name) or 0) + amount
    return held


def _bounded(amount: int | None) -> int | None:
    return None if amount is None or amount > _MOST else amount


def _nonzero(amounts: Amounts) -> Amounts:
    return {name: amount for name, amount in amounts.items() if amount != 0}


def _asked(container: ContainerSnapshot) -> Amounts:
    asked: Amounts = {}
    for name, text in container.requests.items():
        units = parse_units(text)
        asked[name] = units if units is not None and units <= _MOST else None
    return asked
