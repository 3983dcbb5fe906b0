"""ResourceQuota for an approved request: as many slots as its replicas take.

Sources: Kubernetes documentation on quotas of extended resources (only `requests.` is counted) and of device classes
(`<class>.deviceclass.resource.k8s.io/devices`).
"""

from __future__ import annotations

from typing import Any

from fleet.domain.classes.asks import PoolAsk
from fleet.domain.manifests.parameters import Parameters


def quota(ask: PoolAsk, parameters: Parameters) -> list[dict[str, Any]]:
    """One quota for the namespace, named for the workload."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": parameters.name, "namespace": parameters.namespace},
            "spec": {"hard": {quota_key(ask): str(parameters.replicas * ask.promise.gpus)}},
        }
    ]


def quota_key(ask: PoolAsk) -> str:
    """The name under which a quota counts what this class asks of the pool."""
    return f"{ask.resource}.deviceclass.resource.k8s.io/devices" if ask.dra else f"requests.{ask.resource}"
