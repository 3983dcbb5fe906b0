"""ResourceQuota of a namespace: for each resource, the sum of what is granted there.

Kubernetes enforces every quota of a namespace, so two quotas on one key do not add up: the smaller one counts. Sources:
Kubernetes documentation on quotas of extended resources (only `requests.` is counted) and of device classes
(`<class>.deviceclass.resource.k8s.io/devices`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.manifests.parameters import Parameters

NAME = "muster-gpu"
_GRANT = "muster.dev/grant-"
_SHARED = "muster.dev/shared-by"
_OTHERS = "muster.dev/other-grants"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What one request takes of a namespace's quota."""

    id: str
    """Number of the request; `new` for one that is not granted yet."""
    name: str
    """Of the workload; empty where the reader may not know it."""
    replicas: int
    in_pools: tuple[ClassInPool, ...]
    """The class in its pools, in the granted size. Pods may run in any, so each key needs the whole amount."""
    version: int = 1
    """Of the class."""

    @property
    def slots(self) -> int:
        """Returns the slots of all replicas."""
        return self.replicas * self.in_pools[0].class_spec.gpus


def quota(in_pools: Sequence[ClassInPool], parameters: Parameters) -> list[dict[str, Any]]:
    """Returns the quota of a namespace in which nothing else is granted."""
    return namespace_quota([new_grant(in_pools, parameters)], parameters.namespace)


def new_grant(in_pools: Sequence[ClassInPool], parameters: Parameters, number: int | None = None) -> Grant:
    """Returns what a workload takes: under the number of its request, or none yet."""
    return Grant(
        id=str(number or "new"),
        name=parameters.name,
        replicas=parameters.replicas,
        in_pools=tuple(in_pools),
        version=parameters.class_version,
    )


def namespace_quota(grants: Sequence[Grant], namespace: str) -> list[dict[str, Any]]:
    """Returns the one quota of a namespace: per key the sum over the grants, and an annotation for each with a name.

    An annotation names the classes that share a key: what one uses is not available to the others.
    """
    hard: dict[str, int] = {}
    classes: dict[str, dict[str, None]] = {}
    annotations: dict[str, str] = {}
    others: dict[str, int] = {}
    for grant in grants:
        spec = grant.in_pools[0].class_spec
        slots = grant.slots
        keys = list(dict.fromkeys(quota_key(in_pool) for in_pool in grant.in_pools))
        for key in keys:
            hard[key] = hard.get(key, 0) + slots
            classes.setdefault(key, {})[spec.slug] = None
        if grant.name:
            annotations[_GRANT + grant.id] = (
                f"{grant.name}: {grant.replicas} × {spec.gpus} of class {spec.slug} = {slots} {' or '.join(keys)}"
            )
        else:
            others[" or ".join(keys)] = others.get(" or ".join(keys), 0) + slots
    if others:
        annotations[_OTHERS] = "; ".join(f"{slots} {key}" for key, slots in sorted(others.items()))
    shared = [f"{key}: {', '.join(sorted(slugs))}" for key, slugs in sorted(classes.items()) if len(slugs) > 1]
    if shared:
        annotations[_SHARED] = "; ".join(shared)
    return [
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": NAME, "namespace": namespace, "annotations": annotations},
            "spec": {"hard": {key: str(amount) for key, amount in sorted(hard.items())}},
        }
    ]


def quota_key(in_pool: ClassInPool) -> str:
    """Returns the name under which a quota counts what this class requests in the pool."""
    return f"{in_pool.device_class}.deviceclass.resource.k8s.io/devices" if in_pool.dra else f"requests.{in_pool.resource}"
