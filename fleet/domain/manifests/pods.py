"""Pod, Deployment, LeaderWorkerSet: one pod template in three wrappings.

Sources: Kubernetes API reference (Pod v1, Deployment apps/v1); LeaderWorkerSet leaderworkerset.x-k8s.io/v1, whose webhook puts
the label group-key on every pod of a group before the API server resolves matchLabelKeys.
"""

from __future__ import annotations

from typing import Any

from fleet.domain.classes.asks import PoolAsk
from fleet.domain.label_selectors import to_expression
from fleet.domain.manifests.dra import claim_template
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.placement.requirement import Toleration

Document = dict[str, Any]

CLASS_LABEL = "muster/workload-class"
NAME_LABEL = "app.kubernetes.io/name"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_LWS_NAME, _LWS_GROUP = "leaderworkerset.sigs.k8s.io/name", "leaderworkerset.sigs.k8s.io/group-key"
_TOGETHER = "kueue.x-k8s.io/podset-required-topology"
_CONTAINER = "main"
CLAIM = "gpu"
"""Name of the claim within the pod."""


def pod(ask: PoolAsk, parameters: Parameters) -> list[Document]:
    """One pod. A longest time becomes its deadline."""
    spec = pod_spec(ask, parameters)
    if ask.promise.max_hours is not None:
        spec["activeDeadlineSeconds"] = ask.promise.max_hours * 3600
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(ask, parameters), "spec": spec}
    return [*_claims(ask, parameters), made]


def deployment(ask: PoolAsk, parameters: Parameters) -> list[Document]:
    """As many pods as replicas, kept running."""
    labels = _labels(ask, parameters)
    made = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(ask, parameters),
        "spec": {
            "replicas": parameters.replicas,
            "selector": {"matchLabels": {NAME_LABEL: parameters.name}},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(ask, parameters)},
        },
    }
    return [*_claims(ask, parameters), made]


def leaderworkerset(ask: PoolAsk, parameters: Parameters) -> list[Document]:
    """Replicas of several pods that start, live and restart together.

    Pods of a replica that must share an NVLink domain follow each other by pod affinity within their group. The annotation
    exclusive-topology would do so too, but gives each group a whole domain of its own, which is not what is promised.
    """
    spec = pod_spec(ask, parameters)
    domain = ask.requirement.domain
    template: Document = {"labels": _labels(ask, parameters)}
    if domain and parameters.queue:
        template["annotations"] = {_TOGETHER: domain}
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
        "metadata": _metadata(ask, parameters),
        "spec": {
            "replicas": parameters.replicas,
            "leaderWorkerTemplate": {
                "size": ask.requirement.pods,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "workerTemplate": {"metadata": template, "spec": spec},
            },
        },
    }
    return [*_claims(ask, parameters), made]


def pod_spec(ask: PoolAsk, parameters: Parameters) -> Document:
    """The spec of one pod, in the order people read it: where, what it may pass, what it is, what it asks."""
    spec: Document = {}
    affinity: Document = {}
    if ask.expressions or ask.requirement.domain:
        if ask.expressions:
            term = {"matchExpressions": [to_expression(one) for one in ask.expressions]}
            affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
        spec["affinity"] = affinity
    if ask.requirement.tolerations:
        spec["tolerations"] = [toleration(one) for one in ask.requirement.tolerations]
    if ask.promise.priority_class:
        spec["priorityClassName"] = ask.promise.priority_class
    if ask.promise.runtime_class:
        spec["runtimeClassName"] = ask.promise.runtime_class
    container: Document = {"name": _CONTAINER, "image": parameters.image}
    if ask.dra:
        spec["resourceClaims"] = [{"name": CLAIM, "resourceClaimTemplateName": parameters.name}]
        container["resources"] = {"claims": [{"name": CLAIM}]}
    else:
        container["resources"] = {"limits": {ask.resource: str(ask.promise.slots_per_pod)}}
    spec["containers"] = [container]
    return spec


def toleration(one: Toleration) -> Document:
    """A toleration as Kubernetes writes it, without what is empty."""
    written: Document = {"key": one.key} if one.key else {}
    written["operator"] = one.operator
    if one.value:
        written["value"] = one.value
    if one.effect:
        written["effect"] = one.effect
    return written


def _claims(ask: PoolAsk, parameters: Parameters) -> list[Document]:
    return claim_template(ask, parameters) if ask.dra else []


def _labels(ask: PoolAsk, parameters: Parameters) -> dict[str, str]:
    return {NAME_LABEL: parameters.name, CLASS_LABEL: ask.promise.slug}


def _metadata(ask: PoolAsk, parameters: Parameters) -> Document:
    queue = {QUEUE_LABEL: parameters.queue} if parameters.queue else {}
    return {
        "name": parameters.name,
        "namespace": parameters.namespace,
        "labels": {**_labels(ask, parameters), **queue},
    }
