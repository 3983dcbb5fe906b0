"""ValidatingAdmissionPolicy and its binding: in a namespace, only pods that ask for what the class allows are admitted.

Sources: admissionregistration.k8s.io/v1 (Kubernetes 1.30 and later). Only core CEL is used. Pods that ask for no GPU pass.
What mutating admission may add is allowed: default tolerations under node.kubernetes.io/, and a toleration whose key is the
resource itself (ExtendedResourceToleration).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet.domain.classes.asks import PoolAsk
from fleet.domain.manifests.cel import (
    ASKS_GPU,
    all_of,
    asks_amount,
    asks_no_other,
    gpu_prefixes,
    listed,
    selects,
    tolerates,
    tolerates_only,
)
from fleet.domain.manifests.parameters import Parameters

API = "admissionregistration.k8s.io/v1"
_TERMS = "object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"


def policy(asks: Sequence[PoolAsk], parameters: Parameters) -> list[dict[str, Any]]:
    """The policy of a class over all of its pools, bound to the namespace; of a DRA pool also one over its claims.

    A pod must be what the class asks of one pool as a whole: the resource of one and the place of another do not pass.
    """
    name = f"muster-{asks[0].promise.slug}"
    documents = _bound(name, parameters.namespace, _rule("", "v1", ["pods"]), _variables(asks), _pod_validations(asks))
    through_claims = [ask for ask in asks if ask.dra]
    if through_claims:
        rule = _rule("resource.k8s.io", "v1", ["resourceclaims", "resourceclaimtemplates"])
        spec = 'object.kind == "ResourceClaimTemplate" ? object.spec.spec : object.spec'
        variables = [{"name": "spec", "expression": spec}]
        documents += _bound(f"{name}-claims", parameters.namespace, rule, variables, _claim_validations(through_claims))
    return documents


def _variables(asks: Sequence[PoolAsk]) -> list[dict[str, str]]:
    promise = asks[0].promise
    amounts = [count // promise.nodes for count in promise.choices]
    told = {
        "gpus": gpu_prefixes(ask.resource for ask in asks if not ask.dra),
        "claims": "has(object.spec.resourceClaims) && size(object.spec.resourceClaims) > 0",
        "asking": f"object.spec.containers.filter(c, {ASKS_GPU})",
        "askingFirst": f"has(object.spec.initContainers) ? object.spec.initContainers.filter(c, {ASKS_GPU}) : []",
        "gpu": "size(variables.asking) > 0 || size(variables.askingFirst) > 0 || variables.claims",
        "terms": f"has(object.spec.affinity) && has(object.spec.affinity.nodeAffinity) && has({_TERMS}) ? "
        f"{_TERMS}.nodeSelectorTerms : []",
        "tolerations": "has(object.spec.tolerations) ? object.spec.tolerations : []",
    }
    # For each pool, each variable holds where the one before it does and one thing more is right.
    for number, ask in enumerate(asks):
        told[f"way{number}"] = _way(ask)
        told[f"amount{number}"] = f"variables.way{number} && {_amount(ask, amounts)}"
        told[f"place{number}"] = f"variables.amount{number} && ({all_of([selects(one) for one in ask.expressions])})"
        told[f"pool{number}"] = f"variables.place{number} && ({_passes(ask)})"
    return [{"name": name, "expression": expression} for name, expression in told.items()]


def _pod_validations(asks: Sequence[PoolAsk]) -> list[dict[str, str]]:
    """One step after the other, so that the first message that comes is the one to act on."""
    promise = asks[0].promise
    title = promise.title or promise.slug
    numbers = " or ".join(str(count // promise.nodes) for count in promise.choices)
    pools = " or ".join(ask.pool.slug for ask in asks)
    offered = " or ".join(dict.fromkeys("a resource claim" if ask.dra else ask.resource for ask in asks))
    steps = {
        "way": f"{title} is asked for as {offered}, and nothing else that is a GPU.",
        "amount": f"One container of the pod, and no init container, asks for {numbers} of it.",
        "place": f"The pod must select the nodes of pool {pools}: copy the node affinity of the class.",
        "pool": f"The pod must tolerate the taints of pool {pools}, and no others.",
    }
    found = []
    for step, message in steps.items():
        any_pool = [f"variables.{step}{number}" for number in range(len(asks))]
        found.append({"expression": " || ".join(["!variables.gpu", *any_pool]), "message": message, "reason": "Forbidden"})
    found.append(
        {
            "expression": '!variables.gpu || !has(object.spec.nodeName) || object.spec.nodeName == ""',
            "message": "The pod must not name its node: that goes past the scheduler.",
            "reason": "Forbidden",
        }
    )
    return found


def _way(ask: PoolAsk) -> str:
    """Whether the pod asks in the way of this pool: by its resource name, or through claims."""
    if ask.dra:
        return "variables.claims && size(variables.asking) == 0 && size(variables.askingFirst) == 0"
    other = asks_no_other(ask.resource)
    return f"!variables.claims && variables.asking.all(c, {other}) && variables.askingFirst.all(c, {other})"


def _amount(ask: PoolAsk, amounts: Sequence[int]) -> str:
    if ask.dra:
        return "size(object.spec.resourceClaims) == 1 && has(object.spec.resourceClaims[0].resourceClaimTemplateName)"
    right = asks_amount(ask.resource, amounts)
    return f"size(variables.asking) == 1 && size(variables.askingFirst) == 0 && variables.asking.all(c, {right})"


def _passes(ask: PoolAsk) -> str:
    wanted = ask.requirement.tolerations
    needed = [tolerates(one) for one in wanted if one.key]
    if len(needed) == len(wanted):
        needed.append(tolerates_only([*dict.fromkeys([*(one.key for one in wanted), ask.resource])]))
    return all_of(needed)


def _claim_validations(asks: Sequence[PoolAsk]) -> list[dict[str, str]]:
    """What a claim may ask. A claim of another driver's device class (a network card) is refused as well: it is not promised."""
    promise = asks[0].promise
    amounts = [count // promise.nodes for count in promise.choices]
    classes = list(dict.fromkeys(ask.resource for ask in asks))
    requests = "variables.spec.devices.requests"
    numbers = "[" + ", ".join(str(one) for one in amounts) + "]"
    one = (
        f"has({requests}[0].exactly) && {requests}[0].exactly.deviceClassName in {listed(classes)} && "
        f'(!has({requests}[0].exactly.allocationMode) || {requests}[0].exactly.allocationMode == "ExactCount") && '
        f"(has({requests}[0].exactly.count) ? {requests}[0].exactly.count : 1) in {numbers} && "
        f"!(has({requests}[0].exactly.adminAccess) && {requests}[0].exactly.adminAccess)"
    )
    title = promise.title or promise.slug
    words = " or ".join(str(one) for one in amounts)
    return [
        {
            "expression": f"has(variables.spec.devices) && has({requests}) && size({requests}) == 1 && {one}",
            "message": f"{title} is one request of {words} from device class {' or '.join(classes)}, without admin access.",
            "reason": "Forbidden",
        }
    ]


def _rule(group: str, version: str, resources: list[str]) -> dict[str, Any]:
    # CREATE alone: what a pod asks, and a claim's devices, cannot be changed afterwards.
    return {"apiGroups": [group], "apiVersions": [version], "operations": ["CREATE"], "resources": resources}


def _bound(
    name: str, namespace: str, rule: dict[str, Any], variables: list[dict[str, str]], validations: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """The policy, and its binding to one namespace."""
    return [
        {
            "apiVersion": API,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "variables": variables,
                "validations": validations,
            },
        },
        {
            "apiVersion": API,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": f"{name}-{namespace}"},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        },
    ]
