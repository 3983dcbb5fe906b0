"""A pool as a document."""

from __future__ import annotations

from typing import Any

from fleet.domain.documents.fields import Fields
from fleet.domain.label_selectors import OPERATORS, Requirement, checked, from_expression, parse, to_expression
from fleet.domain.placement.nodes import MODES
from fleet.domain.placement.requirement import Toleration, version
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import NO_POOL_LABELS, PARTITIONINGS, SHARINGS, PoolSelector
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot import Taint

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
HIGHEST_RUNG = 9


def read_pool(slug: str, spec: Fields) -> PoolSpec:
    pool = PoolSpec(
        slug=slug,
        title=spec.text("title", longest=200),
        description=spec.text("description"),
        selector=_selector(spec.mapping("selector")),
        policy=_policy(spec.mapping("policy")),
    )
    spec.done()
    return pool


def _selector(fields: Fields) -> PoolSelector:
    labels = [*_match_labels(fields.mapping("matchLabels"))]
    for expression in fields.mappings("matchExpressions"):
        labels += _expression(expression)
    text = fields.text("labels")
    if text:
        try:
            labels += [_of_many_nodes(item) for item in checked(parse(text))]
        except FieldError as error:
            fields.wrong("labels", str(error))
    selector = PoolSelector(
        labels=tuple(dict.fromkeys(labels)),
        clusters=fields.texts("clusters"),
        products=fields.texts("products"),
        partitioning=fields.texts("partitioning", PARTITIONINGS),
        sharing=fields.texts("sharing", SHARINGS),
    )
    fields.done()
    return selector


def _match_labels(fields: Fields) -> list[Requirement]:
    match_labels = []
    for key in fields.names():
        try:
            match_labels.append(_of_many_nodes(from_expression(key, "In", (fields.text(key),))))
        except FieldError as error:
            fields.wrong(key, str(error))
    return match_labels


def _expression(fields: Fields) -> list[Requirement]:
    key, operator, values = fields.required("key"), fields.required("operator"), fields.texts("values")
    fields.done()
    if not key or not operator:
        return []
    try:
        return [_of_many_nodes(from_expression(key, operator, values))]
    except FieldError as error:
        fields.wrong("operator" if operator not in OPERATORS else "values" if "value" in str(error) else "key", str(error))
        return []


def _of_many_nodes(requirement: Requirement) -> Requirement:
    if requirement.key in NO_POOL_LABELS:
        raise FieldError(
            "selector", f"{requirement.key} names single nodes. Select a pool by labels that replaced nodes have, too."
        )
    return requirement


def _policy(fields: Fields) -> PoolPolicy:
    driver = fields.mapping("driver")
    bounds = [driver.text("min"), driver.text("max")]
    for name, bound in zip(("min", "max"), bounds, strict=True):
        if bound and version(bound) is None:
            driver.wrong(name, f"“{bound[:40]}” is not a version: use numbers separated by dots.")
    low, high = version(bounds[0]), version(bounds[1])
    if low and high and low[: len(high)] > high:
        driver.wrong("max", "It is below the minimum.")
    driver.done()
    default = PoolPolicy()
    rung = fields.whole("requiredRung", None, most=HIGHEST_RUNG)
    policy = PoolPolicy(
        purpose=fields.text("purpose", longest=200),
        modes=fields.texts("modes", MODES),
        taints=tuple(_taint(mapping) for mapping in fields.mappings("taints")),
        tolerations=tuple(_toleration(item) for item in fields.mappings("tolerations")),
        one_product=fields.truth("oneProduct", default.one_product),
        one_driver=fields.truth("oneDriver", default.one_driver),
        min_driver=bounds[0],
        max_driver=bounds[1],
        required_rung=default.required_rung if rung is None else rung,
        other_pods=fields.truth("otherPods", default.other_pods),
        priority_class=fields.text("priorityClass", longest=253),
        availability_target=fields.number("availabilityTarget", None, least=0, most=100),
        min_ready=fields.whole("minReady", None),
        partial_nodes=fields.truth("partialNodes", default.partial_nodes),
        exclusive=fields.truth("exclusive", default.exclusive),
        nvlink=fields.truth("nvlink", default.nvlink),
        owner=fields.text("owner", longest=200),
        review_on=fields.day("reviewOn"),
    )
    fields.done()
    return policy


def _taint(fields: Fields) -> Taint:
    taint = Taint(fields.required("key"), fields.text("value"), fields.choice("effect", EFFECTS, "NoSchedule"))
    fields.done()
    return taint


def _toleration(fields: Fields) -> Toleration:
    operator = fields.choice("operator", ("Equal", "Exists"), "Equal")
    toleration = Toleration(fields.text("key"), operator, fields.text("value"), fields.choice("effect", ("", *EFFECTS), ""))
    if operator == "Exists" and toleration.value:
        fields.wrong("value", "Exists takes no value.")
    if operator == "Equal" and not toleration.key:
        fields.wrong("key", "Equal needs a key.")
    fields.done()
    return toleration


def write_pool(pool: PoolSpec) -> dict[str, Any]:
    """Returns the spec of the document: defaults are left out, fields are in a fixed order."""
    fields = {
        "title": pool.title,
        "description": pool.description,
        "selector": _written_selector(pool.selector),
        "policy": _written_policy(pool.policy),
    }
    return {name: value for name, value in fields.items() if value}


def _written_selector(selector: PoolSelector) -> dict[str, Any]:
    """Plain equalities as matchLabels, the rest as matchExpressions, whatever order they were written in."""
    plain: dict[str, str] = {}
    rest = []
    for label in selector.labels:
        if label.operator == "in" and len(label.values) == 1 and label.key not in plain:
            plain[label.key] = label.values[0]
        else:
            rest.append(to_expression(label))
    fields = {
        "matchLabels": plain,
        "matchExpressions": rest,
        "clusters": list(selector.clusters),
        "products": list(selector.products),
        "partitioning": list(selector.partitioning),
        "sharing": list(selector.sharing),
    }
    return {name: value for name, value in fields.items() if value}


def _written_policy(policy: PoolPolicy) -> dict[str, Any]:
    default = PoolPolicy()
    driver = {"min": policy.min_driver, "max": policy.max_driver}
    fields = {
        "purpose": (policy.purpose, ""),
        "modes": (list(policy.modes), []),
        "taints": ([_without_empty(taint.key, value=taint.value, effect=taint.effect) for taint in policy.taints], []),
        "tolerations": ([_written_toleration(toleration) for toleration in policy.tolerations], []),
        "oneProduct": (policy.one_product, default.one_product),
        "oneDriver": (policy.one_driver, default.one_driver),
        "driver": ({name: value for name, value in driver.items() if value}, {}),
        "requiredRung": (policy.required_rung, default.required_rung),
        "otherPods": (policy.other_pods, default.other_pods),
        "priorityClass": (policy.priority_class, ""),
        "availabilityTarget": (policy.availability_target, None),
        "minReady": (policy.min_ready, None),
        "partialNodes": (policy.partial_nodes, default.partial_nodes),
        "exclusive": (policy.exclusive, default.exclusive),
        "nvlink": (policy.nvlink, default.nvlink),
        "owner": (policy.owner, ""),
        "reviewOn": (policy.review_on.isoformat() if policy.review_on else "", ""),
    }
    return {name: value for name, (value, usual) in fields.items() if value != usual}


def _written_toleration(toleration: Toleration) -> dict[str, str]:
    return _without_empty(toleration.key, operator=toleration.operator, value=toleration.value, effect=toleration.effect)


def _without_empty(key: str, **fields: str) -> dict[str, str]:
    return {name: value for name, value in {"key": key, **fields}.items() if value}
