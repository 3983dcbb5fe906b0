"""What a namespace's policy over claims lets them ask of GPUs, in CEL, and by which names pods may get GPUs through them.

A policy over pods cannot read claims. So that it can tell by a name which of a pod's claims may be of GPUs, the policy over
claims refuses GPUs wherever the policy over pods would not look. A claim that was made for a pod has the name within the pod as
an annotation, which the controller sets over whatever a template says. Sources: pkg/controller/resourceclaim/controller.go,
pkg/scheduler/framework/plugins/dynamicresources/extendeddynamicresources.go (Kubernetes 1.36).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.dra.class_names import ClassNames
from fleet.domain.manifests.cel_text import all_of, any_of, is_gpu_class, listed, quoted
from fleet.domain.manifests.dra import device_selectors
from fleet.domain.manifests.parameters import CLAIM
from fleet.domain.placement.nodes import TIME_SLICED
from fleet.domain.quantities import canonical_binary, parse_units

_POD_CLAIM, _EXTENDED_CLAIM = "resource.kubernetes.io/pod-claim-name", "resource.kubernetes.io/extended-resource-claim"
"""Annotations of claims that were made for a pod: by the claim controller, and by the scheduler for extended resources."""
_SHORTENED = 60
"""Least length of a generated name of a claim that was cut: the controller cuts its parts to 56 characters or more, the API
server to 58, and 5 are added (apiserver/pkg/storage/names)."""
UNCHANGED = {
    "name": "unchanged",
    # Admitted objects stay, whatever is granted now: otherwise a finalizer could not be removed from such a pod.
    "expression": "oldObject != null && oldObject.spec == object.spec",
}


def words(texts: Iterable[str]) -> str:
    """Returns the texts without doubles, joined by "or"."""
    return " or ".join(dict.fromkeys(texts))


def may_be_of_gpus(name: str) -> str:
    """Returns whether a claim of this name, a CEL expression, can be one that the policy over claims lets have GPUs."""
    word = quoted(f"(?:^|[^a-z0-9]){CLAIM}(?:$|[^a-z0-9])")
    return f'({name}.matches({word}) || {name}.contains("-extended-resources-") || size({name}) >= {_SHORTENED})'


def claim_variables(known: ClassNames) -> list[dict[str, str]]:
    """Returns the requests of a claim that name a DeviceClass of GPUs, also as an alternative of a prioritised list.

    Beside them, whether the claim was made for a pod whose own policy looks at it.
    """

    def named(request: str) -> str:
        # Before v1 a request names its class itself, since then under `exactly` (resource.k8s.io/v1beta1 and v1).
        return f"has({request}.deviceClassName) && {is_gpu_class(f'{request}.deviceClassName', known)}"

    of_gpus = any_of(
        [
            f"has(r.exactly) && {named('r.exactly')}",
            named("r"),
            f"has(r.firstAvailable) && r.firstAvailable.exists(s, {named('s')})",
        ]
    )
    expressions = {
        "spec": 'object.kind == "ResourceClaimTemplate" ? object.spec.spec : object.spec',
        "requests": "has(variables.spec.devices) && has(variables.spec.devices.requests) ? variables.spec.devices.requests : []",
        "gpus": f"variables.requests.filter(r, {of_gpus}).map(r, has(r.exactly) ? r.exactly : r)",
        "annotations": "has(object.metadata.annotations) ? object.metadata.annotations : {}",
        "named": f"has(object.metadata.name) && {may_be_of_gpus('object.metadata.name')}",
        "forPod": f"variables.named && {quoted(_POD_CLAIM)} in variables.annotations && "
        f"variables.annotations[{quoted(_POD_CLAIM)}] == {quoted(CLAIM)}",
        # Its pod asks by resource name, and was compared with what is granted so.
        "forResource": f'object.kind == "ResourceClaim" && variables.named && {quoted(_EXTENDED_CLAIM)} in variables.annotations',
    }
    return [UNCHANGED, *({"name": name, "expression": expression} for name, expression in expressions.items())]


def claim_validations(classes: Sequence[Sequence[ClassInPool]]) -> list[dict[str, str]]:
    """What a claim may ask of GPUs. What it asks of other devices (network cards, IMEX channels) passes."""
    shapes, texts = [], []
    for in_pools in classes:
        spec = in_pools[0].class_spec
        amounts = [count // spec.nodes for count in spec.choices]
        shapes += [_shape(in_pool, amounts) for in_pool in in_pools]
        texts.append(
            f"{spec.title or spec.slug} is one request of {words(map(str, amounts))} from device class "
            f"{words(in_pool.device_class for in_pool in in_pools)} with the selectors of the class, without admin access "
            "or tolerations."
        )
    exact = (
        "size(variables.gpus) == 1 && variables.gpus.all(g, has(g.deviceClassName) && "
        '(!has(g.allocationMode) || g.allocationMode in ["", "ExactCount"]) && !(has(g.adminAccess) && g.adminAccess) && '
        f"!(has(g.tolerations) && size(g.tolerations) > 0) && ({any_of(list(dict.fromkeys(shapes)))}))"
    )
    message = " ".join(texts) or "No class that requests GPUs through resource claims is granted in this namespace."
    passes = "variables.unchanged || size(variables.gpus) == 0 || variables.forResource"
    named = f"A pod claims GPUs by a ResourceClaimTemplate, under the name {CLAIM} in its spec.resourceClaims."
    return [
        {"expression": f"{passes} || ({exact})", "message": message[:1000], "reason": "Forbidden"},
        {
            "expression": f'{passes} || object.kind == "ResourceClaimTemplate" || variables.forPod',
            "message": named,
            "reason": "Forbidden",
        },
    ]


def _shape(in_pool: ClassInPool, amounts: Sequence[int]) -> str:
    """Returns whether the variable `g`, a request, asks for devices of the class: the same devices or fewer of them."""
    parts = [
        f"g.deviceClassName == {quoted(in_pool.device_class)}",
        f"(has(g.count) ? g.count : 1) in [{', '.join(map(str, amounts))}]",
    ]
    ways = [_selects(selectors) for selectors in dict.fromkeys([tuple(device_selectors(in_pool)), *in_pool.earlier_selectors])]
    if "true" not in ways:
        parts.append(any_of(ways))
    if in_pool.class_spec.isolation == TIME_SLICED:
        # What a share takes; of a whole device, a capacity is only a further condition.
        parts.append(_takes(in_pool.devices.capacity if in_pool.devices else ()))
    return all_of(parts)


def _selects(selectors: Sequence[str]) -> str:
    """Returns whether the variable `g` has each of these selectors; more of them select fewer devices."""
    return all_of(
        [f"has(g.selectors) && g.selectors.exists(s, has(s.cel) && s.cel.expression == {quoted(item)})" for item in selectors]
    )


def _takes(capacity: Sequence[tuple[str, str]]) -> str:
    if not capacity:
        return "!has(g.capacity) || !has(g.capacity.requests) || size(g.capacity.requests) == 0"
    names = listed(name for name, _ in capacity)
    rows = ["has(g.capacity) && has(g.capacity.requests)", f"g.capacity.requests.all(n, n in {names})"]
    for name, text in capacity:
        amount = listed([text, canonical_binary(parse_units(text) or 0)])
        rows.append(f"{quoted(name)} in g.capacity.requests && string(g.capacity.requests[{quoted(name)}]) in {amount}")
    return all_of(rows)
