"""Chooses devices for the claims of one pod on one node, as the scheduler does: the first that fit, with backtracking.

Order decides: claims and requests as written, alternatives by priority, pools by driver and name, devices as published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fleet.domain.dra.allocated import Allocated, DeviceKey
from fleet.domain.dra.choices import AllocationError, Candidate, Chosen, NodeAllocation, Option, UnknownAllocationError
from fleet.domain.dra.resource_pools import NodePool
from fleet.domain.dra.selectors import DeviceSelectorError, UnknownSelectorError, meets
from fleet.domain.dra.taken import Taken
from fleet.domain.snapshot.dra import DeviceClass, DeviceRequest, DraClaim

MOST_DEVICES = 32
"""Kubernetes writes no more results into one claim."""
_MAX_STEPS = 50_000
NO_DEVICES = "cannot allocate all claims"
"""The scheduler's words for a node where the claims do not fit."""
INVALID_POOLS = "invalid resource pools were encountered"


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


class _TooMany(Exception):  # noqa: N818 - no error: the search goes on with the next alternative
    """The claim would hold more devices than Kubernetes writes down."""


class _Search:
    def __init__(
        self, claims: Sequence[DraClaim], pools: Sequence[NodePool], classes: Mapping[str, DeviceClass], allocated: Allocated
    ) -> None:
        self._claims = claims
        self._pools = pools
        self._classes = classes
        self._taken = Taken(claims, allocated)
        self._candidates = [
            Candidate(pool, device, (device.driver, device.pool, device.name))
            for pool in pools
            if not pool.incomplete and not pool.invalid
            for device in pool.devices
        ]
        self._selected: dict[tuple[DeviceKey, int, str], bool] = {}
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
        return self._taken.chosen if self._request(0, 0) else None

    def _options_of(self, claim: int, request: DeviceRequest) -> list[Option]:
        if request.first_available:
            return [self._option(claim, alternative, request.name) for alternative in request.first_available]
        return [self._option(claim, request, "")]

    def _option(self, claim: int, request: DeviceRequest, parent: str) -> Option:
        where = f"claim {self._claims[claim].namespace}/{self._claims[claim].name}, request {request.name}"
        if request.device_class not in self._classes:
            raise AllocationError(
                f"{where}: could not retrieve device class {request.device_class}: "
                f'deviceclass.resource.k8s.io "{request.device_class}" not found'
            )
        if request.mode == "ExactCount":
            return Option(request=request, parent=parent, count=request.count)
        if request.mode != "All":
            raise AllocationError(f"{where}: unsupported count mode {request.mode}")
        for pool in self._pools:
            if pool.incomplete or pool.invalid:
                state = "currently being updated" if pool.incomplete else "currently invalid"
                name = f"{pool.driver}/{pool.name}"
                raise AllocationError(f"{where}: asks for all devices, but resource pool {name} is {state}")
        option = Option(request=request, parent=parent, count=0)
        devices = tuple(
            candidate
            for candidate in self._candidates
            if self._is_selected(candidate, claim, option) and self._taken.share_for(candidate, request) is not None
        )
        return msgspec.structs.replace(option, count=len(devices), all_devices=devices)

    def _is_selected(self, candidate: Candidate, claim: int, option: Option) -> bool:
        memo = (candidate.key, claim, option.full_name)
        if memo not in self._selected:
            request, of_claim = option.request, self._claims[claim]
            selected = meets(
                candidate.device, self._classes[request.device_class].selectors, f"class {request.device_class}"
            ) and meets(candidate.device, request.selectors, f"claim {of_claim.namespace}/{of_claim.name}")
            self._selected[memo] = selected
        return self._selected[memo]

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

    def _devices(self, claim: int, position: int, option: Option, done: int, start: int) -> bool:
        """Chooses the devices of one request from `start` on, and goes on with the next request."""
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise UnknownAllocationError("The search for devices takes too long.")
        if option.all_devices is not None and not option.all_devices:
            return False
        if done >= option.count:
            return self._request(claim, position + 1)
        if self._taken.per_claim[claim] + option.count - done > MOST_DEVICES:
            raise _TooMany
        if option.all_devices is not None:
            return self._try(claim, position, option, done, option.all_devices[done])
        for index in range(start, len(self._candidates)):
            candidate = self._candidates[index]
            if self._taken.is_busy(candidate, claim, option.request) or not self._is_selected(candidate, claim, option):
                continue
            if self._taken.share_for(candidate, option.request) is not None and self._try(
                claim, position, option, done, candidate, index + 1
            ):
                return True
        return False

    def _try(self, claim: int, position: int, option: Option, done: int, candidate: Candidate, start: int = 0) -> bool:
        if not self._taken.take(claim, option, candidate):
            return False
        try:
            success = self._devices(claim, position, option, done + 1, start)
        except _TooMany:
            self._taken.give_back(claim, option, candidate)
            raise
        if not success:
            self._taken.give_back(claim, option, candidate)
        return success
