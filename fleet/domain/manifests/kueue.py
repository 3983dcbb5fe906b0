"""Kueue: a flavor for the pool, a queue for the class with the quota of a request, and the team's way into it.

Source: Kueue apis/kueue/v1beta2. A flavor's nodeLabels are plain equalities, at most eight; whatever else the class asks of a
node stays in the pod's own affinity, which Kueue's admission leaves as it is.
"""

from __future__ import annotations

import hashlib
from typing import Any

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.manifests.parameters import Parameters

API = "kueue.x-k8s.io/v1beta2"
_MOST_LABELS = 8
_LONGEST_NAME, _DIGITS = 63, 13
QUEUE_NOTE = "muster.dev/queue"


def kueue(in_pool: ClassInPool, parameters: Parameters) -> list[dict[str, Any]]:
    """ResourceFlavor, ClusterQueue, LocalQueue; first a Topology where the pods of a replica must share a domain.

    Names do not clash between classes or namespaces: a flavor is of a class in a pool, a ClusterQueue of a class in a namespace,
    a LocalQueue of a class. A LocalQueue cannot be given another ClusterQueue, so one queue for two classes could not be applied.
    """
    slug = in_pool.class_spec.slug
    flavor_name, queue_name = joined_name(in_pool.pool.slug, slug), joined_name(parameters.namespace, slug)
    documents: list[dict[str, Any]] = []
    spec: dict[str, Any] = {}
    shared = [item for item in in_pool.terms[0] if all(item in term for term in in_pool.terms)]
    plain = [entry for entry in shared if entry.operator == "in" and len(entry.values) == 1]
    if plain:
        spec["nodeLabels"] = {row.key: row.values[0] for row in plain[:_MOST_LABELS]}
    taints = [
        {"key": toleration.key, **({"value": toleration.value} if toleration.value else {}), "effect": toleration.effect}
        for toleration in in_pool.requirement.tolerations
        if toleration.key and toleration.effect and (toleration.operator == "Equal" or not toleration.value)
    ]
    if taints:
        spec["nodeTaints"] = taints
    if in_pool.requirement.domain and plain:  # Kueue refuses a topology on a flavor without node labels
        levels = [{"nodeLabel": in_pool.requirement.domain}, {"nodeLabel": "kubernetes.io/hostname"}]
        documents.append({"apiVersion": API, "kind": "Topology", "metadata": {"name": flavor_name}, "spec": {"levels": levels}})
        spec["topologyName"] = flavor_name
    quota = str(parameters.replicas * in_pool.class_spec.gpus + parameters.granted_slots)
    local: dict[str, Any] = {"name": slug, "namespace": parameters.namespace}
    if parameters.queue and parameters.queue != slug:
        local["annotations"] = {QUEUE_NOTE: f"Workloads of class {slug} name the queue {slug}, not {parameters.queue}."}
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
                        "coveredResources": [in_pool.resource],
                        "flavors": [{"name": flavor_name, "resources": [{"name": in_pool.resource, "nominalQuota": quota}]}],
                    }
                ],
            },
        },
        {
            "apiVersion": API,
            "kind": "LocalQueue",
            "metadata": local,
            "spec": {"clusterQueue": queue_name},
        },
    ]
    return documents


def joined_name(first: str, second: str) -> str:
    """Returns a name of at most 63 characters made of two DNS labels; two other labels make another name.

    Names of Kueue's objects are DNS subdomains. DNS labels have no dot: a name with one dot has both labels whole, one with two
    dots the beginning of both and a digest.
    """
    name = f"{first}.{second}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
    half = (_LONGEST_NAME - _DIGITS - 2) // 2
    return f"{first[:half].rstrip('-')}.{second[:half].rstrip('-')}.{digest}"
