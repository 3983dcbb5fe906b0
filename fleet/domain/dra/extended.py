"""Extended resources that DeviceClasses stand for: a pod that asks `nvidia.com/gpu` gets a claim made for it (KEP-5004)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fleet.domain.snapshot.dra import DeviceClass, DeviceRequest, DraClaim

_IMPLICIT = "deviceclass.resource.kubernetes.io/"
CLAIM_NAME = "extended resources"


class ContainerNeed(msgspec.Struct, frozen=True, kw_only=True):
    """Devices that one container asks for by resource names, in the order of the pod: init containers first."""

    amounts: Mapping[str, int]
    init: bool = False
    sidecar: bool = False


def classes_by_resource(classes: Iterable[DeviceClass]) -> dict[str, str]:
    """Returns the DeviceClass of each extended resource name.

    Of several the newest serves, of equally old ones the first by name. Every class also has a name of its own kind,
    `deviceclass.resource.kubernetes.io/CLASS`.
    """
    serving: dict[str, DeviceClass] = {}
    for device_class in sorted(classes, key=lambda device_class: device_class.name):
        serving[_IMPLICIT + device_class.name] = device_class
        name = device_class.extended_resource
        if name and (name not in serving or device_class.created > serving[name].created):
            serving[name] = device_class
    return {name: device_class.name for name, device_class in serving.items()}


def claim_for(containers: Sequence[ContainerNeed], resources: Mapping[str, str], namespace: str) -> DraClaim | None:
    """Returns the claim for what containers ask of `resources` (resource to class); None where they ask nothing of it.

    Each app container and sidecar has a request of its own. An init container uses the devices of those that come after it;
    only what it asks beyond them is requested as well.
    """
    requests: list[DeviceRequest] = []
    for resource, device_class in resources.items():
        running = sum(need.amounts.get(resource, 0) for need in containers if not need.init or need.sidecar)
        beyond = 0
        for index, container in enumerate(containers):
            amount = container.amounts.get(resource, 0)
            if container.init and not container.sidecar:
                before = sum(need.amounts.get(resource, 0) for need in containers[:index] if need.sidecar)
                amount, beyond = max(0, before + amount - running - beyond), max(beyond, before + amount - running)
            if amount > 0:
                number = list(container.amounts).index(resource)
                requests.append(
                    DeviceRequest(name=f"container-{index}-request-{number}", device_class=device_class, count=amount)
                )
    if not requests:
        return None
    return DraClaim(namespace=namespace, name=CLAIM_NAME, requests=tuple(requests))
