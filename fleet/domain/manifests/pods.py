"""Pod, Deployment, LeaderWorkerSet: one pod template in three wrappings.

Sources: Kubernetes API reference (Pod v1, Deployment apps/v1); LeaderWorkerSet leaderworkerset.x-k8s.io/v1, whose webhook puts
the label group-key on every pod of a group before the API server resolves matchLabelKeys.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.label_selectors import to_expression
from fleet.domain.labels import MUSTER_PLACEMENT
from fleet.domain.manifests.dra import claim_template
from fleet.domain.manifests.parameters import CLAIM, CLASS_LABEL, NAME_LABEL, VERSION_LABEL, Parameters
from fleet.domain.placement.amounts import quantity_text
from fleet.domain.placement.nodes import HUGE_PAGES
from fleet.domain.placement.requirement import Toleration

Document = dict[str, Any]

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_LWS_NAME, _LWS_GROUP = "leaderworkerset.sigs.k8s.io/name", "leaderworkerset.sigs.k8s.io/group-key"
_TOGETHER = "kueue.x-k8s.io/podset-required-topology"
_CONTAINER = "main"


def pod(in_pool: ClassInPool, parameters: Parameters) -> list[Document]:
    """One pod. A longest time becomes its deadline."""
    spec = pod_spec(in_pool, parameters)
    if in_pool.class_spec.max_hours is not None:
        spec["activeDeadlineSeconds"] = in_pool.class_spec.max_hours * 3600
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(in_pool, parameters), "spec": spec}
    return [*_claims(in_pool, parameters), made]


def deployment(in_pool: ClassInPool, parameters: Parameters) -> list[Document]:
    """As many pods as replicas, kept running."""
    labels = _labels(in_pool, parameters)
    made = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(in_pool, parameters),
        "spec": {
            "replicas": parameters.replicas,
            "selector": {"matchLabels": {NAME_LABEL: parameters.name}},
            "template": {
                "metadata": {"labels": labels, "annotations": _annotations(in_pool)},
                "spec": pod_spec(in_pool, parameters),
            },
        },
    }
    return [*_claims(in_pool, parameters), made]


def leaderworkerset(in_pool: ClassInPool, parameters: Parameters) -> list[Document]:
    """Replicas of several pods that start, live and restart together.

    Pods of a replica that must share an NVLink domain follow each other by pod affinity within their group. The annotation
    exclusive-topology would do so too, but gives each group a whole domain, which the class does not promise.
    """
    spec = pod_spec(in_pool, parameters)
    domain = in_pool.requirement.domain
    template: Document = {"labels": _labels(in_pool, parameters), "annotations": _annotations(in_pool)}
    if domain and parameters.queue:
        template["annotations"][_TOGETHER] = domain
    if domain:
        spec["affinity"]["podAffinity"] = {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": domain,
                    "labelSelector": {"matchLabels": {_LWS_NAME: parameters.name}},
                    "matchLabelKeys": [_LWS_GROUP],
                }
            ]
        }
    made = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": _metadata(in_pool, parameters),
        "spec": {
            "replicas": parameters.replicas,
            "leaderWorkerTemplate": {
                "size": in_pool.requirement.pods,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "workerTemplate": {"metadata": template, "spec": spec},
            },
        },
    }
    return [*_claims(in_pool, parameters), made]


def pod_spec(in_pool: ClassInPool, parameters: Parameters) -> Document:
    """Returns the spec of one pod, in reading order: node selection, tolerations, containers, resources."""
    spec: Document = {}
    affinity: Document = {}
    terms = [{"matchExpressions": [to_expression(item) for item in term]} for term in in_pool.terms]
    affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    spec["affinity"] = affinity
    if in_pool.requirement.tolerations:
        spec["tolerations"] = [toleration(entry) for entry in in_pool.requirement.tolerations]
    if in_pool.class_spec.priority_class:
        spec["priorityClassName"] = in_pool.class_spec.priority_class
    if in_pool.class_spec.runtime_class:
        spec["runtimeClassName"] = in_pool.class_spec.runtime_class
    container: Document = {"name": _CONTAINER, "image": parameters.image}
    if in_pool.dra:
        spec["resourceClaims"] = [{"name": CLAIM, "resourceClaimTemplateName": parameters.name}]
        container["resources"] = {"claims": [{"name": CLAIM}]}
    else:
        container["resources"] = {"limits": {in_pool.resource: str(in_pool.class_spec.slots_per_pod)}}
    if requests := class_requests(in_pool):
        container["resources"] = {"requests": requests, **container["resources"]}
        # huge pages cannot be overcommitted: the API server wants requests and limits to be equal
        if pages := {name: amount for name, amount in requests.items() if name in HUGE_PAGES}:
            container["resources"]["limits"] = {**container["resources"].get("limits", {}), **pages}
    spec["containers"] = [container]
    return spec


def class_requests(in_pool: ClassInPool) -> dict[str, str]:
    """Returns what a pod requests beside its slots, as quantities."""
    return {name: quantity_text(name, amount) for name, amount in in_pool.class_spec.other_requests}


def toleration(row: Toleration) -> Document:
    """Returns a toleration as Kubernetes writes it, without what is empty."""
    written: Document = {"key": row.key} if row.key else {}
    written["operator"] = row.operator
    if row.value:
        written["value"] = row.value
    if row.effect:
        written["effect"] = row.effect
    return written


def _claims(in_pool: ClassInPool, parameters: Parameters) -> list[Document]:
    return claim_template(in_pool, parameters) if in_pool.dra else []


def _labels(in_pool: ClassInPool, parameters: Parameters) -> dict[str, str]:
    return {
        NAME_LABEL: parameters.name,
        CLASS_LABEL: in_pool.class_spec.slug,
        VERSION_LABEL: str(parameters.class_version),
    }


def placement_digest(in_pool: ClassInPool) -> str:
    """Returns 16 hex digits of everything that decides where pods of the class may land in this pool."""
    requirement = in_pool.requirement
    parts = [in_pool.resource, requirement.terms, requirement.tolerations, requirement.domain, in_pool.class_spec.nodes]
    if in_pool.devices is not None:
        parts += [in_pool.devices.selectors, in_pool.devices.capacity]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def _metadata(in_pool: ClassInPool, parameters: Parameters) -> Document:
    queue = {QUEUE_LABEL: parameters.queue} if parameters.queue else {}
    return {
        "name": parameters.name,
        "namespace": parameters.namespace,
        "labels": {**_labels(in_pool, parameters), **queue},
        "annotations": _annotations(in_pool),
    }


def _annotations(in_pool: ClassInPool) -> dict[str, str]:
    return {MUSTER_PLACEMENT: placement_digest(in_pool)}
