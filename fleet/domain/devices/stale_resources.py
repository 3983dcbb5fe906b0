"""Stale resources from an earlier MIG layout.

The kubelet keeps the name of a resource that a plugin no longer advertises: mostly at 0, sometimes with its old number until the
kubelet restarts. Such numbers are no slots.
"""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.catalog.gpus import GpuModel
from fleet.domain.devices.claims import NodeClaims, StatusResource
from fleet.domain.devices.mig import fewest_cards

_WHOLE = (labels.NVIDIA_GPU, labels.NVIDIA_GPU_SHARED)


def find_stale(claims: NodeClaims, model: GpuModel | None) -> frozenset[str]:
    """Returns the names of resources whose capacity contradicts GFD's labels and the node's other resources.

    A resource that the labels leave no GPU for is stale where nothing of it is allocatable while something else is advertised, or
    where the labels and the other resources together already account for every GPU.
    """
    gfd = claims.gfd
    if not gfd.is_present or gfd.mig_invalid or claims.dra is not None:
        return frozenset()
    counts = {profile: mig.count for profile, mig in gfd.mig.items() if mig.count}
    # Labels count the GPUs of one model; telemetry names every GPU of the node, of other models too.
    gpus = max(gfd.count, len(claims.seen)) if gfd.count is not None else None
    leaves_none_whole = (
        gpus is not None
        and bool(counts)
        and gpus <= fewest_cards(counts, model)
        # More whole GPUs than the labels count were never these GPUs: they are of another model.
        and _whole(claims) <= gpus * (gfd.replicas or claims.wanted.replicas(labels.NVIDIA_GPU) or 1)
    )
    return frozenset(
        name
        for name in claims.capacity
        if (
            _is_left_mig(claims, claims.resources[name], counts, gpus, model)
            if claims.resources[name].profile
            else leaves_none_whole
            and name in _WHOLE
            and (claims.resources[name].allocatable == 0 or _all_offered(claims, counts))
        )
    )


def _is_left_mig(
    claims: NodeClaims, resource: StatusResource, counts: dict[str, int], gpus: int | None, model: GpuModel | None
) -> bool:
    if resource.profile in counts:
        return False
    if counts:
        # a first instance beside those that the labels count would already need one more GPU
        has_no_room = gpus is not None and fewest_cards({**counts, resource.profile: 1}, model) > gpus
        return resource.allocatable == 0 or (has_no_room and _all_offered(claims, counts))
    return (resource.allocatable == 0 and _whole(claims) > 0) or _accounts_for_every_card(claims)


def _accounts_for_every_card(claims: NodeClaims) -> bool:
    """Returns whether nvidia.com/gpu alone makes up all devices that the labels count."""
    devices, replicas = claims.gfd.count, claims.gfd.replicas or claims.wanted.replicas(labels.NVIDIA_GPU) or 1
    return devices is not None and _whole(claims) == devices * replicas > 0


def _all_offered(claims: NodeClaims, counts: dict[str, int]) -> bool:
    """Returns whether every instance that the labels count is advertised."""
    for profile, count in counts.items():
        offered = sum(units for name, units in claims.capacity.items() if claims.resources[name].profile == profile)
        if offered != count * (claims.gfd.mig[profile].replicas or 1):
            return False
    return True


def _whole(claims: NodeClaims) -> int:
    return sum(claims.capacity.get(name, 0) for name in _WHOLE)
