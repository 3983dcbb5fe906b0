"""Chooses devices for the claims of one pod on one node, as the scheduler does: the first that fit, with backtracking.

Order decides: claims and requests as written, alternatives by priority, pools by driver and name, devices as published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from fleet.domain.dra import consumable
from fleet.domain.dra.allocated import Allocated, DeviceKey
from fleet.domain.dra.constraints import ConstraintState
from fleet.domain.dra.counters import Counters
from fleet.domain.dra.resource_pools import NodePool, PoolId
from fleet.domain.dra.selectors import DeviceSelectorError, UnknownSelectorError, meets
from fleet.domain.dra.taints import is_blocked
from fleet.domain.snapshot.dra import DeviceClass, DeviceRequest, DraClaim, DraDevice

MOST_DEVICES = 32
"""Kubernetes writes no more results into one claim."""
_MAX_STEPS = 50_000
NO_DEVICES = "cannot allocate all claims"
"""The scheduler's words for a node where the claims do not fit."""
INVALID_POOLS = "invalid resource pools were encountered"


class AllocationError(Exception):
    """The scheduler refuses the pod with this error, on every node, and tries again later."""


class UnknownAllocationError(Exception):
    """Whether the claims fit is not known: a selector cannot be evaluated, or the search is too long."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """One device for one request of a claim."""

    claim: int
    """Position of the claim among those asked for."""
    request: str
    """Name of the request; with an alternative of a prioritised list, "request/alternative"."""
    device: DraDevice
    admin_access: bool = False
    consumed: dict[str, Fraction] | None = None
    """What a share takes; None for a whole device."""


class NodeAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome on one node: the devices chosen, or why there are none."""

    chosen: tuple[Chosen, ...] | None
    reason: str = ""


def allocate(
    claims: Sequence[DraClaim],
    pools: Sequence[NodePool],
    classes: Mapping[str, DeviceClass],
    allocated: Allocated,
) -> NodeAllocation:
    """Returns the devices for claims that are not allocated yet. Raises AllocationError and UnknownAllocationError."""
    try:
        chosen = _Search(claims, pools, classes, allocated).run()
    except DeviceSelectorError as error:
        raise AllocationError(str(error)) from None
    except UnknownSelectorError as error:
        raise UnknownAllocationError(str(error)) from None
    if chosen is None:
        invalid = any(pool.invalid for pool in pools)
        return NodeAllocation(chosen=None, reason=INVALID_POOLS if invalid else NO_DEVICES)
    return NodeAllocation(chosen=tuple(chosen))


class _Candidate(msgspec.Struct, frozen=True):
    pool: NodePool
    device: DraDevice
    key: DeviceKey


class _Option(msgspec.Struct, frozen=True, kw_only=True):
    """One way to satisfy a request: the request itself, or an alternative of its list."""

    request: DeviceRequest
    parent: str = ""
    count: int
    all_devices: tuple[_Candidate, ...] | None = None

    @property
    def full_name(self) -> str:
        return f"{self.parent}/{self.request.name}" if self.parent else self.request.name


class _TooMany(Exception):  # noqa: N818 - no error: the search goes on with the next alternative
    """The claim would hold more devices than Kubernetes writes down."""


class _Search:
    def __init__(
        self, claims: Sequence[DraClaim], pools: Sequence[NodePool], classes: Mapping[str, DeviceClass], allocated: Allocated
    ) -> None:
        self._claims = claims
        self._pools = pools
        self._classes = classes
        self._allocated = allocated
        self._candidates = [
            _Candidate(pool, device, (device.driver, device.pool, device.name))
            for pool in pools
            if not pool.incomplete and not pool.invalid
            for device in pool.devices
        ]
        self._selected: dict[tuple[DeviceKey, int, str], bool] = {}
        self._constraints = [[ConstraintState(constraint) for constraint in claim.constraints] for claim in claims]
        self._counters: dict[PoolId, Counters] = {}
        self._in_use: dict[DeviceKey, list[int]] = {}
        self._shares: dict[DeviceKey, list[Mapping[str, Fraction]]] = {}
        self._chosen: list[Chosen] = []
        self._per_claim = [0] * len(claims)
        self._steps = 0
        self._options = [[self._options_of(index, request) for request in claim.requests] for index, claim in enumerate(claims)]

    def run(self) -> list[Chosen] | None:
        for claim, options in zip(self._claims, self._options, strict=True):
            least = sum(min(option.count for option in alternatives) for alternatives in options)
            if least > MOST_DEVICES:
                raise AllocationError(
                    f"claim {claim.namespace}/{claim.name}: number of requested devices {least} exceeds the claim limit of "
                    f"{MOST_DEVICES}"
                )
        return self._chosen if self._request(0, 0) else None

    def _options_of(self, claim: int, request: DeviceRequest) -> list[_Option]:
        if request.first_available:
            return [self._option(claim, alternative, request.name) for alternative in request.first_available]
        return [self._option(claim, request, "")]

    def _option(self, claim: int, request: DeviceRequest, parent: str) -> _Option:
        where = f"claim {self._claims[claim].namespace}/{self._claims[claim].name}, request {request.name}"
        if request.device_class not in self._classes:
            raise AllocationError(
                f"{where}: could not retrieve device class {request.device_class}: "
                f'deviceclass.resource.k8s.io "{request.device_class}" not found'
            )
        if request.mode == "ExactCount":
            return _Option(request=request, parent=parent, count=request.count)
        if request.mode != "All":
            raise AllocationError(f"{where}: unsupported count mode {request.mode}")
        for pool in self._pools:
            if pool.incomplete or pool.invalid:
                state = "currently being updated" if pool.incomplete else "currently invalid"
                name = f"{pool.driver}/{pool.name}"
                raise AllocationError(f"{where}: asks for all devices, but resource pool {name} is {state}")
        option = _Option(request=request, parent=parent, count=0)
        devices = tuple(
            candidate
            for candidate in self._candidates
            if self._is_selected(candidate, claim, option) and self._share(candidate, request) is not None
        )
        return msgspec.structs.replace(option, count=len(devices), all_devices=devices)

    def _is_selected(self, candidate: _Candidate, claim: int, option: _Option) -> bool:
        memo = (candidate.key, claim, option.full_name)
        if memo not in self._selected:
            request, of_claim = option.request, self._claims[claim]
            selected = meets(
                candidate.device, self._classes[request.device_class].selectors, f"class {request.device_class}"
            ) and meets(candidate.device, request.selectors, f"claim {of_claim.namespace}/{of_claim.name}")
            self._selected[memo] = selected
        return self._selected[memo]

    def _share(self, candidate: _Candidate, request: DeviceRequest) -> Mapping[str, Fraction] | None:
        """What the request would take of the device, with room for it beside what is taken; None where it does not fit."""
        share = consumable.share_of(candidate.device, request.capacity)
        if share is None:
            return None
        taken = dict(self._allocated.shares.get(candidate.key, {}))
        for other in self._shares.get(candidate.key, ()):
            for name, amount in other.items():
                taken[name] = taken.get(name, Fraction(0)) + amount
        return share if consumable.fits(candidate.device, share, taken) else None

    def _request(self, claim: int, position: int) -> bool:
        """Satisfies the requests from this one on; leaves nothing behind where it cannot."""
        if claim == len(self._claims):
            return True
        if position == len(self._options[claim]):
            try:
                return self._request(claim + 1, 0)
            except _TooMany:
                return False
        options = self._options[claim][position]
        too_many = 0
        for option in options:
            try:
                if self._devices(claim, position, option, 0, 0):
                    return True
            except _TooMany:
                too_many += 1
        if too_many == len(options):
            raise _TooMany
        return False

    def _devices(self, claim: int, position: int, option: _Option, done: int, start: int) -> bool:
        """Chooses the devices of one request from `start` on, and goes on with the next request."""
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise UnknownAllocationError("The search for devices takes too long.")
        if option.all_devices is not None and not option.all_devices:
            return False
        if done >= option.count:
            return self._request(claim, position + 1)
        if self._per_claim[claim] + option.count - done > MOST_DEVICES:
            raise _TooMany
        if option.all_devices is not None:
            return self._try(claim, position, option, done, option.all_devices[done])
        for index in range(start, len(self._candidates)):
            candidate = self._candidates[index]
            if self._is_busy(candidate, claim, option.request) or not self._is_selected(candidate, claim, option):
                continue
            if self._share(candidate, option.request) is not None and self._try(
                claim, position, option, done, candidate, index + 1
            ):
                return True
        return False

    def _try(self, claim: int, position: int, option: _Option, done: int, candidate: _Candidate, start: int = 0) -> bool:
        if not self._take(claim, option, candidate):
            return False
        try:
            success = self._devices(claim, position, option, done + 1, start)
        except _TooMany:
            self._give_back(claim, option, candidate)
            raise
        if not success:
            self._give_back(claim, option, candidate)
        return success

    def _is_busy(self, candidate: _Candidate, claim: int, request: DeviceRequest) -> bool:
        claims = self._in_use.get(candidate.key, ())
        if request.admin_access:
            return claim in claims
        return candidate.key in self._allocated.whole or bool(claims)

    def _take(self, claim: int, option: _Option, candidate: _Candidate) -> bool:
        request, device = option.request, candidate.device
        share = self._share(candidate, request)
        if self._is_busy(candidate, claim, request) or share is None or is_blocked(device, request.tolerations):
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
        self._per_claim[claim] += 1
        self._chosen.append(
            Chosen(
                claim=claim,
                request=option.full_name,
                device=device,
                admin_access=request.admin_access,
                consumed=dict(share) if device.shareable else None,
            )
        )
        return True

    def _give_back(self, claim: int, option: _Option, candidate: _Candidate) -> None:
        self._chosen.pop()
        self._per_claim[claim] -= 1
        if candidate.device.shareable:
            self._shares[candidate.key].pop()
        else:
            self._in_use[candidate.key].pop()
        if self._counts(candidate):
            self._counters_of(candidate.pool).take(candidate.device.consumes, -1)
        for constraint in self._constraints[claim]:
            constraint.remove(option.parent or option.request.name, option.request.name if option.parent else "")

    def _constrain(self, claim: int, option: _Option, candidate: _Candidate) -> bool:
        names = (option.parent or option.request.name, option.request.name if option.parent else "")
        for index, constraint in enumerate(self._constraints[claim]):
            if not constraint.add(*names, candidate.device):
                for earlier in self._constraints[claim][:index]:
                    earlier.remove(*names)
                return False
        return True

    def _counts(self, candidate: _Candidate) -> bool:
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


def counters_left(pool: NodePool, allocated: Allocated) -> Counters:
    """Returns the counters of a pool without what its allocated devices take, those for other nodes included."""
    counters = Counters(pool.counter_sets)
    for device in pool.everything:
        if device.consumes and allocated.holds((device.driver, device.pool, device.name)):
            counters.take(device.consumes)
    return counters
