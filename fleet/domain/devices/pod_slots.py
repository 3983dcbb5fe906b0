"""Slots of one pod: what it requests by resource name, else what its ResourceClaims hold of the node's GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil

from fleet.domain.devices.detection import is_gpu_device
from fleet.domain.devices.sources.dra_claims import Key, key_of
from fleet.domain.dra.consumable import share_of
from fleet.domain.labels import is_gpu_driver
from fleet.domain.pod_resources import gpu_requests
from fleet.domain.quantities import parse_quantity
from fleet.domain.snapshot import DraAllocation, DraDevice, PodSnapshot


def pod_slots(pod: PodSnapshot, allocations: Sequence[DraAllocation] | None, devices: Iterable[DraDevice]) -> int | None:
    """Returns the slots of a pod; None where its claims could not be read.

    `allocations` and `devices` are those of the pod's node. A share counts as the shares of the default size that it takes,
    as the node counts them; admin access only watches, and other devices (network cards) are no slots.
    """
    requests = gpu_requests(pod)
    if requests or not pod.claims:
        return sum(requests.values())
    if allocations is None:
        return None
    by_key = {key_of(device): device for device in devices}
    names = set(pod.claims)
    own = [held for held in allocations if held.namespace == pod.namespace and held.claim in names and not held.admin_access]
    return sum(_slots(held, by_key) for held in own)


def _slots(held: DraAllocation, devices: Mapping[Key, DraDevice]) -> int:
    device = devices.get((held.driver, held.pool, held.device))
    if device is None:
        return int(is_gpu_driver(held.driver))
    if not is_gpu_device(device):
        return 0
    share = share_of(device, {}) if device.shareable else None
    amounts = {name: parse_quantity(text) or Fraction(0) for name, text in held.consumed.items()}
    return max([1, *(ceil(amounts.get(name, Fraction(0)) / default) for name, default in (share or {}).items() if default > 0)])
