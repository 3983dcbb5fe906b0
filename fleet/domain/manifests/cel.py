"""Small pieces of CEL over a pod, in the core language only: what they say can be evaluated by any CEL library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.requirement import Toleration

_GPU_PREFIXES = (
    "nvidia.com/gpu",
    "nvidia.com/mig-",
    "amd.com/gpu",
    "gpu.intel.com/",
    "habana.ai/",
    "deviceclass.resource.kubernetes.io/",
)


def quoted(text: str) -> str:
    """A string literal."""
    return json.dumps(text)


def listed(texts: Iterable[str]) -> str:
    """A list literal of strings."""
    return "[" + ", ".join(quoted(text) for text in texts) + "]"


def all_of(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else " && ".join(f"({part})" for part in parts) or "true"


def any_of(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else " || ".join(f"({part})" for part in parts) or "false"


def gpu_prefixes(also: Iterable[str] = ()) -> str:
    """Beginnings of the names of GPU resources: those that plugins use, and `also`. To be the variable `gpus`."""
    return listed([*_GPU_PREFIXES, *(name for name in also if not name.startswith(_GPU_PREFIXES))])


IS_GPU = "variables.gpus.exists(g, r.startsWith(g))"
"""Whether the variable `r` names a GPU resource."""
ASKS_GPU = f"has(c.resources) && has(c.resources.limits) && c.resources.limits.exists(r, {IS_GPU})"
"""Whether the variable `c` is a container with a limit on any GPU resource."""


def asks_no_other(resource: str) -> str:
    """Whether the variable `c`, a container that asks for GPUs, asks for no GPU resource but this one."""
    return f"c.resources.limits.all(r, r == {quoted(resource)} || !{IS_GPU})"


def asks_amount(resource: str, amounts: Iterable[int]) -> str:
    """Whether the variable `c`, a container that asks for this resource, asks one of these amounts.

    A quantity reaches the policy as the text the API server writes, in its canonical form.
    """
    return f"string(c.resources.limits[{quoted(resource)}]) in {listed(str(one) for one in amounts)}"


def selects(requirement: Requirement) -> str:
    """Whether the pod may only land where this label holds: by nodeSelector, or in every term of its required node affinity.

    A pod may ask for less than what is allowed, never for more.
    """
    key, values = quoted(requirement.key), listed(requirement.values)
    selector = "has(object.spec.nodeSelector) && " + key + " in object.spec.nodeSelector"
    match requirement.operator:
        case "in":
            by_selector = f"{selector} && object.spec.nodeSelector[{key}] in {values}"
            by_term = f'm.operator == "In" && m.values.all(v, v in {values})'
        case "notin":
            by_selector = f"{selector} && !(object.spec.nodeSelector[{key}] in {values})"
            by_term = (
                f'(m.operator == "NotIn" && {values}.all(v, v in m.values)) || (m.operator == "In" && '
                f'!m.values.exists(v, v in {values})) || m.operator == "DoesNotExist"'
            )
        case "exists":
            by_selector = selector
            by_term = 'm.operator in ["Exists", "In", "Gt", "Lt"]'
        case "absent":
            by_selector = "false"
            by_term = 'm.operator == "DoesNotExist"'
        case "gt":
            by_selector = "false"
            by_term = f'm.operator == "Gt" && int(m.values[0]) >= {requirement.values[0]}'
        case _:
            by_selector = "false"
            by_term = f'm.operator == "Lt" && int(m.values[0]) <= {requirement.values[0]}'
    in_terms = (
        "size(variables.terms) > 0 && variables.terms.all(t, has(t.matchExpressions) && "
        f"t.matchExpressions.exists(m, m.key == {key} && ({by_term})))"
    )
    return any_of([by_selector, in_terms])


def tolerates(wanted: Toleration) -> str:
    """Whether the pod tolerates what this toleration stands for."""
    value = (
        f'(has(t.operator) && t.operator == "Exists") || ((has(t.value) ? t.value : "") == {quoted(wanted.value)})'
        if wanted.operator == "Equal"
        else '(has(t.operator) && t.operator == "Exists") || !has(t.value) || t.value == ""'
    )
    effect = f'!has(t.effect) || t.effect == "" || t.effect == {quoted(wanted.effect)}' if wanted.effect else "true"
    return f"variables.tolerations.exists(t, has(t.key) && t.key == {quoted(wanted.key)} && ({value}) && ({effect}))"


def tolerates_only(keys: Sequence[str]) -> str:
    """Whether the pod tolerates nothing but these keys and what Kubernetes itself adds to every pod."""
    return (
        "variables.tolerations.all(t, has(t.key) && "
        f'(t.key in {listed(keys)} || t.key.startsWith("node.kubernetes.io/") && t.key != "node.kubernetes.io/unschedulable"))'
    )
