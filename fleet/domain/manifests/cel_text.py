"""Small pieces of CEL over a pod, in the core language only, so that any CEL library can evaluate them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from fleet.domain import labels
from fleet.domain.dra.class_names import NO_NAMES, ClassNames
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


_GPU_WORD = r"(?:^|[^a-z0-9])(?:v?gpus?|mig|gaudi)(?:$|[^a-z0-9])"
"""A part of the name of a DeviceClass that stands for GPUs: gpu.nvidia.com, mig.nvidia.com, vfio.gpu.nvidia.com, team-gpus."""


def is_gpu(also: Iterable[str] = (), known: ClassNames = NO_NAMES) -> str:
    """Returns whether the variable `r` names a resource by which pods get GPUs.

    Every name that labels.asks_for_gpus knows, resources of DeviceClasses of GPUs, and `also`.
    """
    named = f"(r.matches({quoted(_NAMES)}) && (r.matches({quoted(_KNOWN)}) || !r.matches({quoted(_NO_DEVICE)})))"
    prefix = labels.DEVICE_CLASS_RESOURCE_PREFIX
    of_class = f"(r.startsWith({quoted(prefix)}) && {_of_gpus('r', known, prefix)})"
    more = sorted(name for name in {*also, *known.resources} if not labels.asks_for_gpus(name))
    return any_of([named, of_class, *([f"r in {listed(more)}"] if more else [])])


def is_gpu_class(name: str, known: ClassNames = NO_NAMES) -> str:
    """Returns whether the expression `name` names a DeviceClass of GPUs: of those the clusters have, else by its words."""
    return _of_gpus(name, known, "")


def _of_gpus(name: str, known: ClassNames, prefix: str) -> str:
    by_words = f"{name}.matches({quoted(_GPU_WORD)})"  # the prefix has none of these words
    if known.others:
        by_words = f"({by_words} && !({name} in {listed(prefix + entry for entry in sorted(known.others))}))"
    gpus = listed(prefix + entry for entry in sorted(known.gpus))
    return f"({name} in {gpus} || {by_words})" if known.gpus else by_words


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


def tolerates_only(allowed: Iterable[Toleration], key: str = "") -> str:
    """Returns whether the pod tolerates no taint that `allowed` does not, but those that Kubernetes itself adds to every pod.

    Any toleration of the taint with this `key` passes as well.
    """
    own = [f"t.key == {quoted(key)}"] if key else []
    own += ['(t.key.startsWith("node.kubernetes.io/") && t.key != "node.kubernetes.io/unschedulable")']
    parts = [f"(has(t.key) && ({any_of(own)}))", *(_within(item) for item in _joined(allowed))]
    return f"variables.tolerations.all(t, {any_of(parts)})"


def _joined(tolerations: Iterable[Toleration]) -> list[Toleration]:
    """Returns the tolerations without doubles; the two effects that keep pods off are together any effect."""
    effects: dict[tuple[str, str, str], set[str]] = {}
    for item in tolerations:
        value = item.value if item.operator == "Equal" else ""
        effects.setdefault((item.key, item.operator, value), set()).add(item.effect)
    rows = []
    for (key, operator, value), kinds in effects.items():
        every = "" in kinds or {"NoSchedule", "NoExecute"} <= kinds
        rows += [Toleration(key, operator, value, effect) for effect in ([""] if every else sorted(kinds))]
    return rows


def _within(allowed: Toleration) -> str:
    """Returns whether every taint that the variable `t` tolerates is tolerated by `allowed` as well.

    A missing operator is Equal, a missing effect is every effect (Kubernetes API reference, Toleration v1).
    """
    parts = [f"has(t.key) && t.key == {quoted(allowed.key)}"] if allowed.key else []
    if allowed.operator == "Equal":
        value = f'(has(t.value) ? t.value : "") == {quoted(allowed.value)}'
        parts.append(f'(!has(t.operator) || t.operator in ["", "Equal"]) && {value}')
    if allowed.effect:
        parts.append(f"has(t.effect) && t.effect == {quoted(allowed.effect)}")
    return f"({' && '.join(parts) or 'true'})"
