"""What a search for devices has taken so far: counters, shares, constraints and whole devices, each of which it can give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from fleet.domain.dra import consumable
from fleet.domain.dra.allocated import Allocated, DeviceKey
from fleet.domain.dra.choices import AllocationError, Candidate, Chosen, Option
from fleet.domain.dra.constraints import ConstraintState
from fleet.domain.dra.counters import Counters
from fleet.domain.dra.resource_pools import NodePool, PoolId, counters_left
from fleet.domain.dra.taints import is_blocked
from fleet.domain.snapshot.dra import DeviceRequest, DraClaim


class Taken:
    """The devices chosen so far for claims, beside those that are allocated already."""

    def __init__(self, claims: Sequence[DraClaim], allocated: Allocated) -> None:
        self.chosen: list[Chosen] = []
        self.per_claim = [0] * len(claims)
        self._claims = claims
        self._allocated = allocated
        self._constraints = [[ConstraintState(constraint) for constraint in claim.constraints] for claim in claims]
        self._counters: dict[PoolId, Counters] = {}
        self._in_use: dict[DeviceKey, list[int]] = {}
        self._shares: dict[DeviceKey, list[Mapping[str, Fraction]]] = {}

    def share_for(self, candidate: Candidate, request: DeviceRequest) -> Mapping[str, Fraction] | None:
        """Returns what the request would take of the device, beside what is taken; None where that does not fit."""
        share = consumable.share_of(candidate.device, request.capacity)
        if share is None:
            return None
        taken = dict(self._allocated.shares.get(candidate.key, {}))
        for other in self._shares.get(candidate.key, ()):
            for name, amount in other.items():
                taken[name] = taken.get(name, Fraction(0)) + amount
        return share if consumable.fits(candidate.device, share, taken) else None

    def is_busy(self, candidate: Candidate, claim: int, request: DeviceRequest) -> bool:
        claims = self._in_use.get(candidate.key, ())
        if request.admin_access:
            return claim in claims
        return candidate.key in self._allocated.whole or bool(claims)

    def take(self, claim: int, option: Option, candidate: Candidate) -> bool:
        """Takes a device for an option of a claim; returns False, and takes nothing, where it cannot be had.

        Raises AllocationError where a request for all devices breaks a constraint: the scheduler refuses the pod.
        """
        request, device = option.request, candidate.device
        share = self.share_for(candidate, request)
        if self.is_busy(candidate, claim, request) or share is None or is_blocked(device, request.tolerations):
            return False
        counted = self._counts(candidate)
        if counted and not self._counters_of(candidate.pool).try_take(device.consumes):
            return False
        if not self._constrain(claim, option, candidate):
            if counted:
                self._counters_of(candidate.pool).take(device.consumes, -1)
            if option.all_devices is not None:
                of_claim = self._claims[claim]
                raise AllocationError(
                    f"claim {of_claim.namespace}/{of_claim.name}, request {request.name}: cannot add device "
                    f"{'/'.join(candidate.key)} because a claim constraint would not be satisfied"
                )
            return False
        if device.shareable:
            self._shares.setdefault(candidate.key, []).append(share)
        else:
            self._in_use.setdefault(candidate.key, []).append(claim)
        self.per_claim[claim] += 1
        self.chosen.append(
            Chosen(
                claim=claim,
                request=option.full_name,
                device=device,
                admin_access=request.admin_access,
                consumed=dict(share) if device.shareable else None,
            )
        )
        return True

    def give_back(self, claim: int, option: Option, candidate: Candidate) -> None:
        self.chosen.pop()
        self.per_claim[claim] -= 1
        if candidate.device.shareable:
            self._shares[candidate.key].pop()
        else:
            self._in_use[candidate.key].pop()
        if self._counts(candidate):
            self._counters_of(candidate.pool).take(candidate.device.consumes, -1)
        for constraint in self._constraints[claim]:
            constraint.remove(option.parent or option.request.name, option.request.name if option.parent else "")

    def _constrain(self, claim: int, option: Option, candidate: Candidate) -> bool:
        names = (option.parent or option.request.name, option.request.name if option.parent else "")
        for index, constraint in enumerate(self._constraints[claim]):
            if not constraint.add(*names, candidate.device):
                for earlier in self._constraints[claim][:index]:
                    earlier.remove(*names)
                return False
        return True

    def _counts(self, candidate: Candidate) -> bool:
        """Returns whether taking the device takes of its counters: a share of a device in use takes none again."""
        if not candidate.device.consumes:
            return False
        in_use = candidate.key in self._allocated.shares or bool(self._shares.get(candidate.key))
        return not (candidate.device.shareable and in_use)

    def _counters_of(self, pool: NodePool) -> Counters:
        counters = self._counters.get(pool.id)
        if counters is None:
            counters = self._counters[pool.id] = counters_left(pool, self._allocated)
        return counters
