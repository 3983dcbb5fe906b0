"""Small pieces of CEL over a pod, in the core language only, so that any CEL library can evaluate them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from fleet.domain import labels
from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.requirement import Toleration


def quoted(text: str) -> str:
    """Returns a string literal."""
    return json.dumps(text)


def listed(texts: Iterable[str]) -> str:
    """Returns a list literal of strings."""
    return "[" + ", ".join(quoted(text) for text in texts) + "]"


def all_of(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else " && ".join(f"({part})" for part in parts) or "true"


def any_of(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else " || ".join(f"({part})" for part in parts) or "false"


_NAMES, _KNOWN, _NO_DEVICE = labels.gpu_name_patterns()


def is_gpu(also: Iterable[str] = ()) -> str:
    """Returns whether the variable `r` names a GPU resource.

    Every name that labels.resource_kind knows, resources of DRA device classes, and `also`.
    """
    named = f"(r.matches({quoted(_NAMES)}) && (r.matches({quoted(_KNOWN)}) || !r.matches({quoted(_NO_DEVICE)})))"
    of_class = f"r.startsWith({quoted(labels.DEVICE_CLASS_RESOURCE_PREFIX)})"
    more = sorted(name for name in set(also) if not labels.is_gpu_resource(name))
    return any_of([named, of_class, *([f"r in {listed(more)}"] if more else [])])


_IS_GPU_NAME = "variables.gpuNames.exists(names, r in names)"
"""Whether the variable `r` is among the names of GPU resources that containers of the pod mention."""


def requests_gpu() -> str:
    """Returns whether the variable `c` is a container with a limit above 0 on a GPU resource; 0 requests nothing."""
    return (
        "has(c.resources) && has(c.resources.limits) && "
        f'c.resources.limits.exists(r, {_IS_GPU_NAME} && string(c.resources.limits[r]) != "0")'
    )


def asks_no_other(resource: str) -> str:
    """Returns whether the variable `c`, a container that requests GPUs, requests no GPU resource but this one."""
    return f'c.resources.limits.all(r, r == {quoted(resource)} || !{_IS_GPU_NAME} || string(c.resources.limits[r]) == "0")'


def asks_amount(resource: str, amounts: Iterable[int]) -> str:
    """Returns whether the variable `c`, a container that asks for this resource, asks one of these amounts.

    A quantity reaches the policy as the text the API server writes, in its canonical form.
    """
    return f"string(c.resources.limits[{quoted(resource)}]) in {listed(str(amount) for amount in amounts)}"


def selects_any(terms: Sequence[Sequence[Requirement]]) -> str:
    """Returns whether the pod may only land where one of these terms holds.

    Each of its own terms, together with its nodeSelector, asks for everything that one of them asks for. A pod may select less
    than what is allowed, never more.
    """
    by_selector = any_of([all_of([_by_selector(item) for item in term]) for term in terms])
    by_term = any_of([all_of([any_of([_by_selector(entry), _by_term(entry)]) for entry in term]) for term in terms])
    return f"size(variables.terms) == 0 ? ({by_selector}) : variables.terms.all(t, {by_term})"


def _by_selector(requirement: Requirement) -> str:
    """Returns whether the pod's nodeSelector asks for this."""
    key, values = quoted(requirement.key), listed(requirement.values)
    has = f"has(object.spec.nodeSelector) && {key} in object.spec.nodeSelector"
    match requirement.operator:
        case "in":
            return f"{has} && object.spec.nodeSelector[{key}] in {values}"
        case "notin":
            return f"{has} && !(object.spec.nodeSelector[{key}] in {values})"
        case "exists":
            return has
        case _:
            return "false"


def _by_term(requirement: Requirement) -> str:
    """Returns whether the variable `t`, a term of the pod's required node affinity, asks for this."""
    key, values = quoted(requirement.key), listed(requirement.values)
    match requirement.operator:
        case "in":
            expression = f'm.operator == "In" && m.values.all(v, v in {values})'
        case "notin":
            expression = (
                f'(m.operator == "NotIn" && {values}.all(v, v in m.values)) || (m.operator == "In" && '
                f'!m.values.exists(v, v in {values})) || m.operator == "DoesNotExist"'
            )
        case "exists":
            expression = 'm.operator in ["Exists", "In", "Gt", "Lt"]'
        case "absent":
            expression = 'm.operator == "DoesNotExist"'
        case "gt":
            expression = f'm.operator == "Gt" && int(m.values[0]) >= {requirement.values[0]}'
        case _:
            expression = f'm.operator == "Lt" && int(m.values[0]) <= {requirement.values[0]}'
    return f"has(t.matchExpressions) && t.matchExpressions.exists(m, m.key == {key} && ({expression}))"


def tolerates(wanted: Toleration) -> str:
    """Returns whether the pod tolerates what this toleration stands for."""
    value = (
        f'(has(t.operator) && t.operator == "Exists") || ((has(t.value) ? t.value : "") == {quoted(wanted.value)})'
        if wanted.operator == "Equal"
        else '(has(t.operator) && t.operator == "Exists") || !has(t.value) || t.value == ""'
    )
    effect = f'!has(t.effect) || t.effect == "" || t.effect == {quoted(wanted.effect)}' if wanted.effect else "true"
    return f"variables.tolerations.exists(t, has(t.key) && t.key == {quoted(wanted.key)} && ({value}) && ({effect}))"


def tolerates_only(keys: Sequence[str]) -> str:
    """Returns whether the pod tolerates nothing but these keys and what Kubernetes itself adds to every pod."""
    return (
        "variables.tolerations.all(t, has(t.key) && "
        f'(t.key in {listed(keys)} || t.key.startsWith("node.kubernetes.io/") && t.key != "node.kubernetes.io/unschedulable"))'
    )
