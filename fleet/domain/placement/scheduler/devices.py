"""Devices that a pod asks for through DRA, as one more filter: claims of its own, and extended resources of DeviceClasses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy

import msgspec

from fleet.domain import labels
from fleet.domain.dra.choices import AllocationError, UnknownAllocationError
from fleet.domain.dra.extended import ContainerNeed, classes_by_resource
from fleet.domain.dra.pods import CLAIM_ELSEWHERE, ClusterDevices, PodDevices
from fleet.domain.dra.resource_pools import DraNode
from fleet.domain.placement.scheduler.reasons import Refusal
from fleet.domain.quantities import parse_units
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.dra import DeviceClass, DraClaim
from fleet.domain.snapshot.scheduling import PodScheduling

ClaimKey = tuple[str, str]
"""Namespace and name."""


class DeviceAnswer(msgspec.Struct, frozen=True):
    """Whether a node has the devices: `refusal` where it has not, `unknown` where that is not known; neither where it has."""

    refusal: Refusal | None = None
    unknown: str = ""
    error: bool = False
    """The scheduler fails on this node and refuses the pod everywhere until it tries again."""


HAS_DEVICES = DeviceAnswer()


class ClusterClaims:
    """Devices and claims of one cluster. Without `devices` nothing is known, and `unknown` says why."""

    def __init__(
        self,
        devices: ClusterDevices | None,
        claims: Iterable[DraClaim] = (),
        *,
        classes: Iterable[DeviceClass] = (),
        unknown: str = "devices requested through DRA",
    ) -> None:
        self.devices = devices
        self.classes: tuple[DeviceClass, ...] = tuple(classes)
        self.resources: Mapping[str, str] = classes_by_resource(self.classes)
        """Extended resource to the DeviceClass that offers it."""
        self.claims: Mapping[ClaimKey, DraClaim] = {(claim.namespace, claim.name): claim for claim in claims}
        self.unknown = unknown
        self._placed: dict[ClaimKey, str] = {}
        """Node of each claim that a pod of this question took: later pods share it there."""

    def copy(self) -> ClusterClaims:
        copied = copy(self)
        copied.devices = self.devices.copy() if self.devices else None
        copied._placed = dict(self._placed)
        return copied

    def asked(self, pod: PodSnapshot, scheduling: PodScheduling) -> PodDevices | str:
        """Returns what the pod asks of DRA, or what of it is unknown."""
        if scheduling.claims and self.devices is None:
            return self.unknown
        claims = scheduling.claim_requests
        if claims is None:
            missing = next((name for name in pod.claims if (pod.namespace, name) not in self.claims), "")
            if missing:
                return f"ResourceClaim {missing} (not collected)"
            claims = tuple(self.claims[pod.namespace, name] for name in pod.claims)
            if scheduling.claims and not claims and not _names_class(scheduling):
                return "ResourceClaims of the pod (not created yet)"
        containers = tuple(
            ContainerNeed(
                amounts={name: parse_units(text) or 0 for name, text in container.requests.items()},
                init=container.init,
                sidecar=container.sidecar,
            )
            for container in pod.containers
        )
        return PodDevices(claims=claims, containers=containers, namespace=pod.namespace)

    def answer(self, asked: PodDevices, node: DraNode, plugin: Mapping[str, int]) -> DeviceAnswer:
        """Returns whether the node has the devices of one more such pod."""
        return self._place(asked, node, plugin, hold=False)

    def hold(self, asked: PodDevices, node: DraNode, plugin: Mapping[str, int]) -> DeviceAnswer:
        """Returns the same, and counts the devices as allocated from now on."""
        return self._place(asked, node, plugin, hold=True)

    def _place(self, asked: PodDevices, node: DraNode, plugin: Mapping[str, int], *, hold: bool) -> DeviceAnswer:
        if self.devices is None:
            return DeviceAnswer(unknown=self.unknown)
        shared = [claim for claim in asked.claims if (claim.namespace, claim.name) in self._placed]
        if any(self._placed[claim.namespace, claim.name] != node.name for claim in shared):
            return DeviceAnswer(refusal=Refusal("dra", CLAIM_ELSEWHERE))
        asked = msgspec.structs.replace(asked, claims=tuple(claim for claim in asked.claims if claim not in shared))
        try:
            outcome = self.devices.check(asked, node, plugin)
        except AllocationError as error:
            return DeviceAnswer(refusal=Refusal("dra", str(error)), error=True)
        except UnknownAllocationError as error:
            return DeviceAnswer(unknown=f"DRA: {str(error).rstrip('.')}")
        if outcome.chosen is None:
            return DeviceAnswer(refusal=Refusal("dra", outcome.reason))
        if hold:
            self.devices.hold(outcome.chosen)
            self._placed |= {(claim.namespace, claim.name): node.name for claim in asked.claims if not claim.made}
        return HAS_DEVICES


def _names_class(scheduling: PodScheduling) -> bool:
    """Returns whether a container asks for a DeviceClass by name, which needs no claim of the pod's own."""
    return any(name.startswith(labels.DEVICE_CLASS_RESOURCE_PREFIX) for name in scheduling.requests)
