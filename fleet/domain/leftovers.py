"""Resources that stayed behind from an earlier MIG layout.

The kubelet keeps the name of a resource that a plugin no longer offers: mostly at 0, sometimes with its old number until the
kubelet restarts. Such numbers are no slots.
"""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.catalog.gpus import GpuModel
from fleet.domain.mig import fewest_cards
from fleet.domain.reading import Offer, Reading

_WHOLE = (labels.NVIDIA_GPU, labels.NVIDIA_GPU_SHARED)


def leftovers(reading: Reading, model: GpuModel | None) -> frozenset[str]:
    """Names of resources with a capacity that cannot be true beside GFD's labels and the node's other resources.

    A resource that the labels leave no card for is a leftover where nothing of it is allocatable while something else is
    offered, or where the labels and the other resources together already account for every card.
    """
    gfd = reading.gfd
    if not gfd.found or gfd.mig_invalid or reading.dra is not None:
        return frozenset()
    told = {profile: mig.count for profile, mig in gfd.mig.items() if mig.count}
    none_whole = gfd.count is not None and bool(told) and gfd.count <= fewest_cards(told, model)
    return frozenset(
        name
        for name in reading.capacity
        if (
            _is_left_mig(reading, reading.offers[name], told)
            if reading.offers[name].profile
            else none_whole and name in _WHOLE and (reading.offers[name].allocatable == 0 or _all_offered(reading, told))
        )
    )


def _is_left_mig(reading: Reading, offer: Offer, told: dict[str, int]) -> bool:
    if offer.profile in told:
        return False
    if told:
        return offer.allocatable == 0
    return (offer.allocatable == 0 and _whole(reading) > 0) or _accounts_for_every_card(reading)


def _accounts_for_every_card(reading: Reading) -> bool:
    """Whether nvidia.com/gpu alone makes up all devices that the labels count."""
    devices, replicas = reading.gfd.count, reading.gfd.replicas or reading.wanted.replicas(labels.NVIDIA_GPU) or 1
    return devices is not None and _whole(reading) == devices * replicas > 0


def _all_offered(reading: Reading, told: dict[str, int]) -> bool:
    """Whether every instance that the labels count is offered."""
    for profile, count in told.items():
        offered = sum(units for name, units in reading.capacity.items() if reading.offers[name].profile == profile)
        if offered != count * (reading.gfd.mig[profile].replicas or 1):
            return False
    return True


def _whole(reading: Reading) -> int:
    return sum(reading.capacity.get(name, 0) for name in _WHOLE)
