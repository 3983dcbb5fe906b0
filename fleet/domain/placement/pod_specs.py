"""A pod spec, as people write it, read as a requirement: what the scheduler would look at, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.domain.label_selectors import Requirement, from_expression
from fleet.domain.placement.requirement import NODE_NAME, PodRequirement, Toleration
from fleet.domain.requests import effective_requests
from fleet.domain.snapshot import ContainerSnapshot, PodSnapshot


class PodSpecError(ValueError):
    """The spec cannot be read as a pod's; the message is a sentence."""


def requirement_of(spec: Mapping[str, Any], claim_templates: Mapping[str, Mapping[str, Any]] | None = None) -> PodRequirement:
    """What a pod with this spec asks of a node. `claim_templates` are specs of ResourceClaimTemplates by name.

    Extended resources by the scheduler's arithmetic, device classes of its claims, nodeSelector, required node affinity,
    nodeName and tolerations. Cpu and memory are not looked at. Raises PodSpecError and label_selectors.SelectorError.
    """
    resources = {name: amount for name, amount in _extended(spec).items() if amount}
    for claim in spec.get("resourceClaims") or ():
        template = (claim_templates or {}).get(claim.get("resourceClaimTemplateName", ""))
        if template is None:
            raise PodSpecError(f"The claim “{claim.get('name', '')}” names no ResourceClaimTemplate that was given.")
        for request in template["spec"]["devices"]["requests"]:
            exactly = request.get("exactly")
            if exactly is None or exactly.get("allocationMode", "ExactCount") != "ExactCount":
                raise PodSpecError("Only claims for an exact count of one device class can be placed.")
            name = exactly["deviceClassName"]
            resources[name] = resources.get(name, 0) + exactly.get("count", 1)
    named = spec.get("nodeName")
    selector = [Requirement(key, "in", (value,)) for key, value in (spec.get("nodeSelector") or {}).items()]
    if named:
        selector.append(Requirement(NODE_NAME, "in", (named,)))
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    return PodRequirement(
        resources=tuple(sorted(resources.items())),
        selector=tuple(selector),
        terms=tuple(_term(term) for term in required.get("nodeSelectorTerms") or ()),
        tolerations=tuple(
            Toleration(one.get("key", ""), one.get("operator") or "Equal", one.get("value", ""), one.get("effect", ""))
            for one in spec.get("tolerations") or ()
        ),
    )


def _extended(spec: Mapping[str, Any]) -> dict[str, int]:
    containers = [
        ContainerSnapshot(
            name=str(one.get("name", "")),
            init=init,
            sidecar=init and one.get("restartPolicy") == "Always",
            requests=_requests(one),
        )
        for init, key in ((True, "initContainers"), (False, "containers"))
        for one in spec.get(key) or ()
    ]
    amounts = effective_requests(PodSnapshot(uid="", namespace="", name="", containers=tuple(containers)))
    unread = sorted(name for name, amount in amounts.items() if amount is None)
    if unread:
        raise PodSpecError(f"The amount of {unread[0]} is no whole number of slots.")
    return {name: amount for name, amount in amounts.items() if amount is not None}


def _requests(container: Mapping[str, Any]) -> dict[str, str]:
    resources = container.get("resources") or {}
    told = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: str(amount) for name, amount in told.items() if "/" in name}


def _term(term: Mapping[str, Any]) -> tuple[Requirement, ...]:
    told = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]
    if not told:
        return (Requirement(NODE_NAME, "in", ()),)  # a term without anything in it matches no node
    return tuple(from_expression(one["key"], one["operator"], one.get("values") or ()) for one in told)
