"""Kueue: a flavor for the pool, a queue for the class with the quota of a request, and the team's way into it.

Source: Kueue apis/kueue/v1beta2. A flavor's nodeLabels are plain equalities, at most eight; whatever else the class asks of a
node stays in the pod's own affinity, which Kueue's admission leaves as it is.
"""

from __future__ import annotations

from typing import Any

from fleet.domain.classes.asks import PoolAsk
from fleet.domain.manifests.parameters import Parameters

API = "kueue.x-k8s.io/v1beta2"
_MOST_LABELS = 8


def kueue(ask: PoolAsk, parameters: Parameters) -> list[dict[str, Any]]:
    """ResourceFlavor, ClusterQueue, LocalQueue; first a Topology where the pods of a replica must share a domain."""
    flavor_name, queue_name = ask.pool.slug, ask.promise.slug
    documents: list[dict[str, Any]] = []
    spec: dict[str, Any] = {}
    plain = [one for one in ask.expressions if one.operator == "in" and len(one.values) == 1]
    if plain:
        spec["nodeLabels"] = {one.key: one.values[0] for one in plain[:_MOST_LABELS]}
    taints = [
        {"key": one.key, **({"value": one.value} if one.value else {}), "effect": one.effect}
        for one in ask.requirement.tolerations
        if one.key and one.effect and (one.operator == "Equal" or not one.value)
    ]
    if taints:
        spec["nodeTaints"] = taints
    if ask.requirement.domain and plain:  # Kueue refuses a topology on a flavor without node labels
        levels = [{"nodeLabel": ask.requirement.domain}, {"nodeLabel": "kubernetes.io/hostname"}]
        documents.append({"apiVersion": API, "kind": "Topology", "metadata": {"name": flavor_name}, "spec": {"levels": levels}})
        spec["topologyName"] = flavor_name
    quota = str(parameters.replicas * ask.promise.gpus)
    documents += [
        {"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": flavor_name}, "spec": spec},
        {
            "apiVersion": API,
            "kind": "ClusterQueue",
            "metadata": {"name": queue_name},
            "spec": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": parameters.namespace}},
                "resourceGroups": [
                    {
                        "coveredResources": [ask.resource],
                        "flavors": [{"name": flavor_name, "resources": [{"name": ask.resource, "nominalQuota": quota}]}],
                    }
                ],
            },
        },
        {
            "apiVersion": API,
            "kind": "LocalQueue",
            "metadata": {"name": parameters.queue or queue_name, "namespace": parameters.namespace},
            "spec": {"clusterQueue": queue_name},
        },
    ]
    return documents
