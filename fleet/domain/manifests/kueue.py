"""Kueue: a flavor for the pool, a queue for the class with the quota of its requests, and the team's way into it.

Source: Kueue apis/kueue/v1beta2. A flavor's nodeLabels are plain equalities, at most eight; whatever else the class asks of a
node stays in the pod's own affinity, which Kueue's admission leaves as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.quota import Grant

API = "kueue.x-k8s.io/v1beta2"
_MOST_LABELS = 8
_LONGEST_NAME, _DIGITS = 63, 13
QUEUE_NOTE = "muster.dev/queue"


def kueue(grants: Sequence[Grant], parameters: Parameters) -> list[dict[str, Any]]:
    """Returns ResourceFlavors, ClusterQueue and LocalQueue for grants of one class.

    Before a flavor its Topology, where the pods of a replica must share a domain.
    Names do not clash between classes, versions or namespaces: a flavor is of one version of a class in a pool, a ClusterQueue of
    a class in a namespace, a LocalQueue of a class. A LocalQueue cannot be given another ClusterQueue, so one queue for two
    classes could not be applied; versions that are granted side by side are flavors of one ClusterQueue.
    """
    slug = grants[0].in_pools[0].class_spec.slug
    queue_name = joined_name(parameters.namespace, slug)
    flavors: dict[str, list[dict[str, Any]]] = {}
    amounts: dict[str, dict[str, int]] = {}
    for grant in grants:
        in_pool = grant.in_pools[0]
        name = joined_name(in_pool.pool.slug, slug, f"v{grant.version}")
        flavors[name] = _flavor(in_pool, name)
        slots = amounts.setdefault(in_pool.resource, {})
        slots[name] = slots.get(name, 0) + grant.slots
    local: dict[str, Any] = {"name": slug, "namespace": parameters.namespace}
    if parameters.queue and parameters.queue != slug:
        local["annotations"] = {QUEUE_NOTE: f"Workloads of class {slug} name the queue {slug}, not {parameters.queue}."}
    groups = [
        {
            "coveredResources": [resource],
            "flavors": [
                {"name": name, "resources": [{"name": resource, "nominalQuota": str(amount)}]} for name, amount in slots.items()
            ],
        }
        for resource, slots in amounts.items()
    ]
    return [
        *(document for documents in flavors.values() for document in documents),
        {
            "apiVersion": API,
            "kind": "ClusterQueue",
            "metadata": {"name": queue_name},
            "spec": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": parameters.namespace}},
                "resourceGroups": groups,
            },
        },
        {"apiVersion": API, "kind": "LocalQueue", "metadata": local, "spec": {"clusterQueue": queue_name}},
    ]


def _flavor(in_pool: ClassInPool, name: str) -> list[dict[str, Any]]:
    """Returns the ResourceFlavor of a class in a pool, after its Topology."""
    spec: dict[str, Any] = {}
    documents: list[dict[str, Any]] = []
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
        documents.append({"apiVersion": API, "kind": "Topology", "metadata": {"name": name}, "spec": {"levels": levels}})
        spec["topologyName"] = name
    return [*documents, {"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": name}, "spec": spec}]


def joined_name(first: str, second: str, version: str = "") -> str:
    """Returns a name of at most 63 characters made of two DNS labels and a version; others make another name.

    Names of Kueue's objects are DNS subdomains. DNS labels have no dot: a name has both labels whole, or the beginning of both
    and a digest, which is longer than a version.
    """
    last = f".{version}" if version else ""
    name = f"{first}.{second}{last}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
    half = (_LONGEST_NAME - _DIGITS - 2 - len(last)) // 2
    return f"{first[:half].rstrip('-')}.{second[:half].rstrip('-')}.{digest}{last}"
