"""ValidatingAdmissionPolicy and its binding: in a namespace, only pods that ask for what the class allows are admitted.

Sources: admissionregistration.k8s.io/v1 (Kubernetes 1.30 and later). Only core CEL is used. Pods that ask for no GPU pass.
A pod may ask for less than the class: fewer nodes, fewer tolerations. What mutating admission may add is allowed: default
tolerations under node.kubernetes.io/, those of the class's RuntimeClass, and one whose key is the resource itself
(ExtendedResourceToleration).

A policy over pods cannot read the claims that they name, so a name says what a claim is of: a pod claims GPUs under the name
`gpu`. Claims have a policy of their own (admission_of_claims), which refuses GPUs under any other name: network cards and IMEX
channels are claimed as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from fleet.domain.classes.placements import AllowedPlacement, narrower
from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.dra.class_names import NO_NAMES, ClassNames
from fleet.domain.manifests.admission_of_claims import UNCHANGED, claim_validations, claim_variables, may_be_of_gpus, words
from fleet.domain.manifests.cel_text import (
    asks_amount,
    asks_no_other,
    is_gpu,
    quoted,
    requests_gpu,
    selects_any,
    tolerates_only,
)
from fleet.domain.manifests.parameters import CLAIM, CLASS_LABEL, Parameters

API = "admissionregistration.k8s.io/v1"
_TERMS = "object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"


Granted = Sequence[ClassInPool]
"""One class, in one version, that is granted in a namespace, over all of its pools."""
_GRANTED = "muster.dev/classes"


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One placement that a pod may have: of a class in a pool as it is now, or of a manifest copied earlier."""

    in_pool: ClassInPool
    placement: AllowedPlacement

    @property
    def amounts(self) -> list[int]:
        """Returns the numbers of slots that one pod may request."""
        spec = self.in_pool.class_spec
        return [count // spec.nodes for count in spec.choices]


def policy(in_pools: Granted, parameters: Parameters) -> list[dict[str, Any]]:
    """Returns the policy of a namespace in which only this class is granted."""
    return namespace_policy([in_pools], parameters.namespace)


def namespace_policy(classes: Sequence[Granted], namespace: str, known: ClassNames = NO_NAMES) -> list[dict[str, Any]]:
    """Returns the two policies of a namespace, over pods and over claims, each with its binding.

    Policies that are bound to one namespace all have to pass, so classes cannot have one each: a pod that satisfies any class
    granted here is admitted. With the label of a class it is compared with that class, without one with each of them. The
    contents follow from what is granted, never from the size or pool of one request. A namespace has no dot in its name, so no
    two of these names are the same.
    """
    ordered = sorted(classes, key=lambda in_pools: (in_pools[0].class_spec.slug, msgspec.json.encode(in_pools[0].class_spec)))
    entries = _entries(ordered)
    through_claims = [in_pools for in_pools in ([item for item in in_pools if item.dra] for in_pools in ordered) if in_pools]
    name = f"muster-gpu-{namespace}"
    granted = ", ".join(dict.fromkeys(in_pools[0].class_spec.slug for in_pools in ordered))
    own = {item.device_class for in_pools in through_claims for item in in_pools}
    known = msgspec.structs.replace(known, gpus=known.gpus | own, others=known.others - own)
    of_pods = _Policy(name=name, namespace=namespace, granted=granted, rule=_rule("", "v1", ["pods", "pods/ephemeralcontainers"]))
    rule = _rule("resource.k8s.io", "*", ["resourceclaims", "resourceclaimtemplates"])
    of_claims = _Policy(name=f"{name}.claims", namespace=namespace, granted=granted, rule=rule)
    return [
        *_bound(of_pods, _variables(entries, known), _pod_validations(entries)),
        *_bound(of_claims, claim_variables(known), claim_validations(through_claims)),
    ]


def _entries(classes: Iterable[Granted]) -> list[_Entry]:
    """Returns what pods may look like, without what another entry allows already."""
    rows: list[_Entry] = []
    for in_pool in (in_pool for in_pools in classes for in_pool in in_pools):
        now = AllowedPlacement(terms=in_pool.place, tolerations=(*in_pool.requirement.tolerations, *in_pool.added_tolerations))
        for placement in (now, *in_pool.earlier):
            entry = _Entry(in_pool=in_pool, placement=placement)
            if not any(_allows(row, entry) for row in rows):
                rows = [row for row in rows if not _allows(entry, row)] + [entry]
    return rows


def _allows(wide: _Entry, entry: _Entry) -> bool:
    """Returns whether every pod that the second entry allows is allowed by the first."""
    first, second = wide.in_pool, entry.in_pool
    return (
        (first.class_spec.slug, first.resource, first.dra) == (second.class_spec.slug, second.resource, second.dra)
        and set(entry.amounts) <= set(wide.amounts)
        and narrower(entry.placement, wide.placement)
    )


def _variables(entries: Sequence[_Entry], known: ClassNames) -> list[dict[str, str]]:
    resources = [entry.in_pool.resource for entry in entries if not entry.in_pool.dra]
    first = "has(object.spec.initContainers) ? object.spec.initContainers"
    expressions = {
        "gpuNames": "(object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : []))"
        ".filter(c, has(c.resources) && has(c.resources.limits))"
        f".map(c, c.resources.limits.filter(r, {is_gpu(resources, known)}))",
        "claims": f"has(object.spec.resourceClaims) ? object.spec.resourceClaims.filter(c, c.name == {quoted(CLAIM)} || "
        f"has(c.resourceClaimName) && {may_be_of_gpus('c.resourceClaimName')}) : []",
        "asking": f"object.spec.containers.filter(c, {requests_gpu()})",
        "askingFirst": f"{first}.filter(c, {requests_gpu()}) : []",
        "gpu": "size(variables.asking) > 0 || size(variables.askingFirst) > 0 || size(variables.claims) > 0",
        "terms": f"has(object.spec.affinity) && has(object.spec.affinity.nodeAffinity) && has({_TERMS}) ? "
        f"{_TERMS}.nodeSelectorTerms : []",
        "tolerations": "has(object.spec.tolerations) ? object.spec.tolerations : []",
        "class": f"has(object.metadata.labels) && {quoted(CLASS_LABEL)} in object.metadata.labels ? "
        f'object.metadata.labels[{quoted(CLASS_LABEL)}] : ""',
    }
    # For each entry, each variable is true where the previous one is and one further condition holds.
    for number, entry in enumerate(entries):
        spec, resource = entry.in_pool.class_spec, "" if entry.in_pool.dra else entry.in_pool.resource
        expressions[f"way{number}"] = f'(variables.class in ["", {quoted(spec.slug)}]) && {_way(entry.in_pool)}'
        expressions[f"amount{number}"] = f"variables.way{number} && {_amount(entry)}"
        expressions[f"place{number}"] = f"variables.amount{number} && ({selects_any(entry.placement.terms)})"
        tolerations = tolerates_only(entry.placement.tolerations, resource)
        expressions[f"pool{number}"] = f"variables.place{number} && ({tolerations})"
    return [UNCHANGED, *({"name": name, "expression": expression} for name, expression in expressions.items())]


def _pod_validations(entries: Sequence[_Entry]) -> list[dict[str, str]]:
    """Checked in order, so that the first message is the one to act on."""
    in_pools = [entry.in_pool for entry in entries]
    titles = words(item.class_spec.title or item.class_spec.slug for item in in_pools)
    numbers = words(str(amount) for entry in entries for amount in entry.amounts)
    pools = words(in_pool.pool.slug for in_pool in in_pools)
    resources = words(f"a resource claim with the name {CLAIM}" if in_pool.dra else in_pool.resource for in_pool in in_pools)
    steps = {
        "way": f"{titles} must be requested as {resources}, with no other GPU resource.",
        "amount": f"Exactly one container, and no init container, must request {numbers} of it.",
        "place": f"The pod must select the nodes of pool {pools}: copy the node affinity of the class.",
        "pool": f"The pod must tolerate the taints of pool {pools} only: copy the tolerations of the class.",
    }
    validations = []
    for step, message in steps.items():
        any_pool = [f"variables.{step}{number}" for number in range(len(entries))]
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
        return "size(variables.claims) > 0 && size(variables.asking) == 0 && size(variables.askingFirst) == 0"
    other = asks_no_other(in_pool.resource)
    return f"size(variables.claims) == 0 && variables.asking.all(c, {other}) && variables.askingFirst.all(c, {other})"


def _amount(entry: _Entry) -> str:
    if entry.in_pool.dra:
        return "size(variables.claims) == 1 && has(variables.claims[0].resourceClaimTemplateName)"
    right = asks_amount(entry.in_pool.resource, entry.amounts)
    return f"size(variables.asking) == 1 && size(variables.askingFirst) == 0 && variables.asking.all(c, {right})"


def _rule(group: str, version: str, resources: list[str]) -> dict[str, Any]:
    # UPDATE too: tolerations can be added to a pod, and containers to a running one.
    return {"apiGroups": [group], "apiVersions": [version], "operations": ["CREATE", "UPDATE"], "resources": resources}


class _Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Name, place and object of one policy."""

    name: str
    namespace: str
    granted: str
    """Slugs of the classes it follows from."""
    rule: dict[str, Any]


def _bound(policy: _Policy, variables: list[dict[str, str]], validations: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Returns the policy, and its binding to one namespace."""
    return [
        {
            "apiVersion": API,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": policy.name, "annotations": {_GRANTED: policy.granted}},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [policy.rule]},
                "variables": variables,
                "validations": validations,
            },
        },
        {
            "apiVersion": API,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": f"{policy.name}-{policy.namespace}"},
            "spec": {
                "policyName": policy.name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": policy.namespace}}},
            },
        },
    ]
