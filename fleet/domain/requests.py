"""What pods ask of extended resources, by the scheduler's own arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from fleet.domain import labels
from fleet.domain.quantities import parse_units
from fleet.domain.snapshot import ContainerSnapshot, PodSnapshot

Amounts = dict[str, int | None]
"""Resource name to slots; None where a quantity could not be read."""

# Somebody who writes 16Gi means memory. Such a pod fits no node; its number would only spoil every sum it enters.
_MOST = 10**9
_FINISHED = frozenset({"Succeeded", "Failed"})


def holds(pod: PodSnapshot) -> bool:
    """Whether the pod occupies what it requested: it is bound to a node and not finished. A terminating pod still does."""
    return bool(pod.node_name) and pod.phase not in _FINISHED


def effective_requests(pod: PodSnapshot) -> Amounts:
    """What the scheduler reserves for the pod, per extended resource.

    All app containers and sidecars (restartable init containers) together, or, where that is more, the hungriest moment of
    start-up: one ordinary init container with the sidecars that were started before it. Container state does not matter.
    """
    containers = [container for container in pod.containers if container.requests]
    if len(containers) == 1:
        return _nonzero(_asked(containers[0]))
    running: Amounts = {}
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in containers:
        asked = _asked(container)
        if not container.init:
            _add(running, asked)
            continue
        if container.sidecar:
            _add(running, asked)
            _add(sidecars, asked)
            moment = sidecars
        else:
            _add(asked, sidecars)
            moment = asked
        _raise_to(peak, moment)
    if peak:
        _raise_to(running, peak)
    return _nonzero(running)


def gpu_requests(pod: PodSnapshot) -> dict[str, int]:
    """The pod's effective request of GPU resources, in slots; empty for a pod that asks for none by resource name."""
    amounts = effective_requests(pod)
    return {name: amount for name, amount in amounts.items() if amount is not None and labels.is_gpu_resource(name)}


def requested_by_resource(pods: Iterable[PodSnapshot]) -> Amounts:
    """Slots of each GPU resource that these pods hold. Give it the pods of one node: it does not look at names."""
    held: Amounts = {}
    for pod in pods:
        if pod.containers and holds(pod):
            for name, amount in effective_requests(pod).items():
                if labels.is_gpu_resource(name):
                    held[name] = None if amount is None or held.get(name, 0) is None else (held.get(name) or 0) + amount
    return held


class PendingDemand(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that waits for a node, and what of GPU resources it asks."""

    namespace: str
    pod: str
    uid: str
    requests: dict[str, int]
    insufficient: tuple[str, ...] = ()
    """The GPU resources that the scheduler found too few of, by its own message."""


def pending_demand(pods: Sequence[PodSnapshot]) -> tuple[PendingDemand, ...]:
    """Pods bound to no node and not finished that ask for GPU resources, in the order given."""
    waiting = []
    for pod in pods:
        if pod.node_name or pod.phase in _FINISHED:
            continue
        requests = gpu_requests(pod)
        if requests:
            words = pod.message.replace(",", " ").replace(";", " ").split()
            short = {word.rstrip(".") for before, word in pairwise(words) if before == "Insufficient"}
            waiting.append(
                PendingDemand(
                    namespace=pod.namespace,
                    pod=pod.name,
                    uid=pod.uid,
                    requests=requests,
                    insufficient=tuple(sorted(name for name in requests if name in short)),
                )
            )
    return tuple(waiting)


def _nonzero(amounts: Amounts) -> Amounts:
    return {name: amount for name, amount in amounts.items() if amount != 0}


def _asked(container: ContainerSnapshot) -> Amounts:
    asked: Amounts = {}
    for name, text in container.requests.items():
        units = parse_units(text)
        asked[name] = units if units is not None and units <= _MOST else None
    return asked


def _add(to: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        before = to.get(name, 0)
        to[name] = None if before is None or amount is None else before + amount


def _raise_to(floor: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        before = floor.get(name, 0)
        floor[name] = None if before is None or amount is None else max(before, amount)
