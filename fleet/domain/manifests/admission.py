"""ValidatingAdmissionPolicy and its binding: in a namespace, only pods that ask for what the class allows are admitted.

Sources: admissionregistration.k8s.io/v1 (Kubernetes 1.30 and later). Only core CEL is used. Pods that ask for no GPU pass.
What mutating admission may add is allowed: default tolerations under node.kubernetes.io/, and a toleration whose key is the
resource itself (ExtendedResourceToleration).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.manifests.cel_text import (
    all_of,
    any_of,
    asks_amount,
    asks_no_other,
    is_gpu,
    listed,
    quoted,
    requests_gpu,
    selects_any,
    tolerates,
    tolerates_only,
)
from fleet.domain.manifests.parameters import CLASS_LABEL, Parameters

API = "admissionregistration.k8s.io/v1"
_TERMS = "object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"


Granted = Sequence[ClassInPool]
"""One class that is granted in a namespace, over all of its pools."""


def policy(in_pools: Granted, parameters: Parameters) -> list[dict[str, Any]]:
    """Returns the policy of a namespace in which only this class is granted."""
    return namespace_policy([in_pools], parameters.namespace)


def namespace_policy(classes: Sequence[Granted], namespace: str) -> list[dict[str, Any]]:
    """Returns the one policy of a namespace and its binding; for classes over DRA also one over claims.

    Policies that are bound to one namespace all have to pass, so classes cannot have one each: a pod that satisfies any class
    granted here is admitted. With the label of a class it is compared with that class, without one with each of them. The
    contents follow from what is granted, never from the size or pool of one request.
    """
    ordered = sorted(classes, key=lambda in_pools: in_pools[0].class_spec.slug)
    name = f"muster-gpu-{namespace}"
    variables, validations = _variables(ordered), _pod_validations(ordered)
    documents = _bound(name, namespace, _rule("", "v1", ["pods", "pods/ephemeralcontainers"]), variables, validations)
    through_claims = [[in_pool for in_pool in in_pools if in_pool.dra] for in_pools in ordered]
    through_claims = [in_pools for in_pools in through_claims if in_pools]
    if through_claims:
        rule = _rule("resource.k8s.io", "v1", ["resourceclaims", "resourceclaimtemplates"])
        spec = 'object.kind == "ResourceClaimTemplate" ? object.spec.spec : object.spec'
        claim_variables = [_UNCHANGED, {"name": "spec", "expression": spec}]
        documents += _bound(f"{name}-claims", namespace, rule, claim_variables, _claim_validations(through_claims))
    return documents


_UNCHANGED = {
    "name": "unchanged",
    # Admitted pods stay, whatever is granted now: otherwise a finalizer could not be removed from such a pod.
    "expression": "oldObject != null && oldObject.spec == object.spec",
}


def _variables(classes: Sequence[Granted]) -> list[dict[str, str]]:
    resources = [in_pool.resource for in_pools in classes for in_pool in in_pools if not in_pool.dra]
    first = "has(object.spec.initContainers) ? object.spec.initContainers"
    expressions = {
        "gpuNames": "(object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : []))"
        ".filter(c, has(c.resources) && has(c.resources.limits))"
        f".map(c, c.resources.limits.filter(r, {is_gpu(resources)}))",
        "claims": "has(object.spec.resourceClaims) && size(object.spec.resourceClaims) > 0",
        "asking": f"object.spec.containers.filter(c, {requests_gpu()})",
        "askingFirst": f"{first}.filter(c, {requests_gpu()}) : []",
        "gpu": "size(variables.asking) > 0 || size(variables.askingFirst) > 0 || variables.claims",
        "terms": f"has(object.spec.affinity) && has(object.spec.affinity.nodeAffinity) && has({_TERMS}) ? "
        f"{_TERMS}.nodeSelectorTerms : []",
        "tolerations": "has(object.spec.tolerations) ? object.spec.tolerations : []",
        "class": f"has(object.metadata.labels) && {quoted(CLASS_LABEL)} in object.metadata.labels ? "
        f'object.metadata.labels[{quoted(CLASS_LABEL)}] : ""',
    }
    # For each pool, each variable is true where the previous one is and one further condition holds.
    for number, in_pool in enumerate(_all(classes)):
        spec = in_pool.class_spec
        amounts = [count // spec.nodes for count in spec.choices]
        expressions[f"way{number}"] = f'(variables.class in ["", {quoted(spec.slug)}]) && {_way(in_pool)}'
        expressions[f"amount{number}"] = f"variables.way{number} && {_amount(in_pool, amounts)}"
        expressions[f"place{number}"] = f"variables.amount{number} && ({selects_any(in_pool.place)})"
        expressions[f"pool{number}"] = f"variables.place{number} && ({_passes(in_pool)})"
    return [_UNCHANGED, *({"name": name, "expression": expression} for name, expression in expressions.items())]


def _all(classes: Sequence[Granted]) -> list[ClassInPool]:
    return [in_pool for in_pools in classes for in_pool in in_pools]


def _words(texts: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(texts))


def _pod_validations(classes: Sequence[Granted]) -> list[dict[str, str]]:
    """Checked in order, so that the first message is the one to act on."""
    in_pools = _all(classes)
    titles = _words(item.class_spec.title or item.class_spec.slug for item in in_pools)
    numbers = _words(str(count // entry.class_spec.nodes) for entry in in_pools for count in entry.class_spec.choices)
    pools = _words(in_pool.pool.slug for in_pool in in_pools)
    resources = _words("a resource claim" if in_pool.dra else in_pool.resource for in_pool in in_pools)
    steps = {
        "way": f"{titles} must be requested as {resources}, with no other GPU resource.",
        "amount": f"Exactly one container, and no init container, must request {numbers} of it.",
        "place": f"The pod must select the nodes of pool {pools}: copy the node affinity of the class.",
        "pool": f"The pod must tolerate the taints of pool {pools}, and no others.",
    }
    validations = []
    for step, message in steps.items():
        any_pool = [f"variables.{step}{number}" for number in range(len(in_pools))]
        expression = " || ".join(["variables.unchanged", "!variables.gpu", *any_pool])
        validations.append({"expression": expression, "message": message[:1000], "reason": "Forbidden"})
    validations.append(
        {
            # A bound pod names its node: only a new one must not.
            "expression": 'oldObject != null || !variables.gpu || !has(object.spec.nodeName) || object.spec.nodeName == ""',
            "message": "The pod must not set nodeName: that bypasses the scheduler.",
            "reason": "Forbidden",
        }
    )
    return validations


def _way(in_pool: ClassInPool) -> str:
    """Returns whether the pod asks in the way of this pool: by its resource name, or through claims."""
    if in_pool.dra:
        return "variables.claims && size(variables.asking) == 0 && size(variables.askingFirst) == 0"
    other = asks_no_other(in_pool.resource)
    return f"!variables.claims && variables.asking.all(c, {other}) && variables.askingFirst.all(c, {other})"


def _amount(in_pool: ClassInPool, amounts: Sequence[int]) -> str:
    if in_pool.dra:
        return "size(object.spec.resourceClaims) == 1 && has(object.spec.resourceClaims[0].resourceClaimTemplateName)"
    right = asks_amount(in_pool.resource, amounts)
    return f"size(variables.asking) == 1 && size(variables.askingFirst) == 0 && variables.asking.all(c, {right})"


def _passes(in_pool: ClassInPool) -> str:
    wanted = in_pool.requirement.tolerations
    needed = [tolerates(item) for item in wanted if item.key]
    if len(needed) == len(wanted):
        needed.append(tolerates_only([*dict.fromkeys([*(entry.key for entry in wanted), in_pool.resource])]))
    return all_of(needed)


def _claim_validations(classes: Sequence[Granted]) -> list[dict[str, str]]:
    """What a claim may ask. A claim of another driver's device class (a network card) is refused as well: it is not granted."""
    requests = "variables.spec.devices.requests"
    shapes, texts = [], []
    for in_pools in classes:
        spec = in_pools[0].class_spec
        amounts = [count // spec.nodes for count in spec.choices]
        device_classes = list(dict.fromkeys(in_pool.device_class for in_pool in in_pools))
        shapes.append(
            f"{requests}[0].exactly.deviceClassName in {listed(device_classes)} && "
            f"(has({requests}[0].exactly.count) ? {requests}[0].exactly.count : 1) in [{', '.join(map(str, amounts))}]"
        )
        texts.append(
            f"{spec.title or spec.slug} is one request of {_words(map(str, amounts))} from device class "
            f"{' or '.join(device_classes)}, without admin access."
        )
    exact = (
        f"has(variables.spec.devices) && has({requests}) && size({requests}) == 1 && has({requests}[0].exactly) && "
        f'(!has({requests}[0].exactly.allocationMode) || {requests}[0].exactly.allocationMode == "ExactCount") && '
        f"!(has({requests}[0].exactly.adminAccess) && {requests}[0].exactly.adminAccess)"
    )
    return [
        {
            "expression": f"variables.unchanged || ({exact} && ({any_of(shapes)}))",
            "message": " ".join(texts)[:1000],
            "reason": "Forbidden",
        }
    ]


def _rule(group: str, version: str, resources: list[str]) -> dict[str, Any]:
    # UPDATE too: tolerations can be added to a pod, and containers to a running one.
    return {"apiGroups": [group], "apiVersions": [version], "operations": ["CREATE", "UPDATE"], "resources": resources}


def _bound(
    name: str, namespace: str, rule: dict[str, Any], variables: list[dict[str, str]], validations: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """Returns the policy, and its binding to one namespace."""
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
