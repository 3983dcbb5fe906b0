"""A pod spec, as people write it, read as a requirement: what the scheduler would look at, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.requirement import NODE_NAME, PodRequirement
from fleet.domain.placement.scheduler import terms
from fleet.domain.placement.scheduler.specs import pod_requests
from fleet.domain.refusals import FieldError


def requirement_of(spec: Mapping[str, Any], claim_templates: Mapping[str, Mapping[str, Any]] | None = None) -> PodRequirement:
    """What a pod with this spec asks of a node. `claim_templates` are specs of ResourceClaimTemplates by name.

    Extended resources by the scheduler's arithmetic, device classes of its claims, nodeSelector, required node affinity,
    nodeName and tolerations. Cpu and memory are not looked at. Raises FieldError.
    """
    resources = {name: amount for name, amount in _extended(spec).items() if amount}
    for claim in spec.get("resourceClaims") or ():
        template = (claim_templates or {}).get(claim.get("resourceClaimTemplateName", ""))
        if template is None:
            raise FieldError("pod", f"The claim “{claim.get('name', '')}” names no ResourceClaimTemplate that was given.")
        for request in template["spec"]["devices"]["requests"]:
            exactly = request.get("exactly")
            if exactly is None or exactly.get("allocationMode", "ExactCount") != "ExactCount":
                raise FieldError("pod", "Only claims for an exact count of one device class can be placed.")
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
        terms=terms.node_terms(required) or () if required else (),
        tolerations=terms.tolerations(spec.get("tolerations")),
    )


def _extended(spec: Mapping[str, Any]) -> dict[str, int]:
    amounts = {name: amount for name, amount in pod_requests(spec).items() if "/" in name}
    unread = sorted(name for name, amount in amounts.items() if amount is None)
    if unread:
        raise FieldError("pod", f"The amount of {unread[0]} is not a whole number of slots.")
    return {name: amount for name, amount in amounts.items() if amount is not None}
