"""A pool as a document."""

from __future__ import annotations

from typing import Any

from fleet.domain.declared.reader import Fields
from fleet.domain.label_selectors import OPERATORS, Requirement, SelectorError, checked, from_expression, parse, to_expression
from fleet.domain.placement.nodes import MODES
from fleet.domain.placement.requirement import Toleration, version
from fleet.domain.pools.policy import Pool, PoolPolicy
from fleet.domain.pools.selectors import NO_POOL_LABELS, PARTITIONINGS, SHARINGS, PoolSelector
from fleet.domain.snapshot import Taint

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
HIGHEST_RUNG = 9


def read_pool(slug: str, spec: Fields) -> Pool:
    pool = Pool(
        slug=slug,
        title=spec.text("title", longest=200),
        description=spec.text("description"),
        selector=_selector(spec.mapping("selector")),
        policy=_policy(spec.mapping("policy")),
    )
    spec.done()
    return pool


def _selector(told: Fields) -> PoolSelector:
    labels = [*_match_labels(told.mapping("matchLabels"))]
    for expression in told.mappings("matchExpressions"):
        labels += _expression(expression)
    text = told.text("labels")
    if text:
        try:
            labels += [_of_many_nodes(one) for one in checked(parse(text))]
        except SelectorError as error:
            told.wrong("labels", str(error))
    selector = PoolSelector(
        labels=tuple(dict.fromkeys(labels)),
        clusters=told.texts("clusters"),
        products=told.texts("products"),
        partitioning=told.texts("partitioning", PARTITIONINGS),
        sharing=told.texts("sharing", SHARINGS),
    )
    told.done()
    return selector


def _match_labels(told: Fields) -> list[Requirement]:
    found = []
    for key in told.names():
        try:
            found.append(_of_many_nodes(from_expression(key, "In", (told.text(key),))))
        except SelectorError as error:
            told.wrong(key, str(error))
    return found


def _expression(told: Fields) -> list[Requirement]:
    key, operator, values = told.required("key"), told.required("operator"), told.texts("values")
    told.done()
    if not key or not operator:
        return []
    try:
        return [_of_many_nodes(from_expression(key, operator, values))]
    except SelectorError as error:
        told.wrong("operator" if operator not in OPERATORS else "values" if "value" in str(error) else "key", str(error))
        return []


def _of_many_nodes(one: Requirement) -> Requirement:
    if one.key in NO_POOL_LABELS:
        raise SelectorError(f"{one.key} names single nodes: a pool is told by labels that outlive them.")
    return one


def _policy(told: Fields) -> PoolPolicy:
    driver = told.mapping("driver")
    bounds = [driver.text("min"), driver.text("max")]
    for name, bound in zip(("min", "max"), bounds, strict=True):
        if bound and version(bound) is None:
            driver.wrong(name, f"“{bound[:40]}” is no version: write numbers with dots between them.")
    low, high = version(bounds[0]), version(bounds[1])
    if low and high and low[: len(high)] > high:
        driver.wrong("max", "It is below the minimum.")
    driver.done()
    default = PoolPolicy()
    rung = told.whole("requiredRung", None, most=HIGHEST_RUNG)
    policy = PoolPolicy(
        purpose=told.text("purpose", longest=200),
        modes=told.texts("modes", MODES),
        taints=tuple(_taint(one) for one in told.mappings("taints")),
        tolerations=tuple(_toleration(one) for one in told.mappings("tolerations")),
        one_product=told.truth("oneProduct", default.one_product),
        one_driver=told.truth("oneDriver", default.one_driver),
        min_driver=bounds[0],
        max_driver=bounds[1],
        required_rung=default.required_rung if rung is None else rung,
        other_pods=told.truth("otherPods", default.other_pods),
        priority_class=told.text("priorityClass", longest=253),
        promise_percent=told.number("promisePercent", None, least=0, most=100),
        min_ready=told.whole("minReady", None),
        partial_nodes=told.truth("partialNodes", default.partial_nodes),
        exclusive=told.truth("exclusive", default.exclusive),
        nvlink=told.truth("nvlink", default.nvlink),
        owner=told.text("owner", longest=200),
        review_on=told.day("reviewOn"),
    )
    told.done()
    return policy


def _taint(told: Fields) -> Taint:
    taint = Taint(told.required("key"), told.text("value"), told.choice("effect", EFFECTS, "NoSchedule"))
    told.done()
    return taint


def _toleration(told: Fields) -> Toleration:
    operator = told.choice("operator", ("Equal", "Exists"), "Equal")
    found = Toleration(told.text("key"), operator, told.text("value"), told.choice("effect", ("", *EFFECTS), ""))
    if operator == "Exists" and found.value:
        told.wrong("value", "Exists takes no value.")
    if operator == "Equal" and not found.key:
        told.wrong("key", "Equal needs a key.")
    told.done()
    return found


def write_pool(pool: Pool) -> dict[str, Any]:
    """The spec of the document: what is as by default is left out, fields in a fixed order."""
    told = {
        "title": pool.title,
        "description": pool.description,
        "selector": _written_selector(pool.selector),
        "policy": _written_policy(pool.policy),
    }
    return {name: value for name, value in told.items() if value}


def _written_selector(selector: PoolSelector) -> dict[str, Any]:
    """Plain equalities as matchLabels, the rest as matchExpressions, whatever order they were written in."""
    plain: dict[str, str] = {}
    rest = []
    for one in selector.labels:
        if one.operator == "in" and len(one.values) == 1 and one.key not in plain:
            plain[one.key] = one.values[0]
        else:
            rest.append(to_expression(one))
    told = {
        "matchLabels": plain,
        "matchExpressions": rest,
        "clusters": list(selector.clusters),
        "products": list(selector.products),
        "partitioning": list(selector.partitioning),
        "sharing": list(selector.sharing),
    }
    return {name: value for name, value in told.items() if value}


def _written_policy(policy: PoolPolicy) -> dict[str, Any]:
    default = PoolPolicy()
    driver = {"min": policy.min_driver, "max": policy.max_driver}
    told = {
        "purpose": (policy.purpose, ""),
        "modes": (list(policy.modes), []),
        "taints": ([_without_empty(one.key, value=one.value, effect=one.effect) for one in policy.taints], []),
        "tolerations": ([_written_toleration(one) for one in policy.tolerations], []),
        "oneProduct": (policy.one_product, default.one_product),
        "oneDriver": (policy.one_driver, default.one_driver),
        "driver": ({name: value for name, value in driver.items() if value}, {}),
        "requiredRung": (policy.required_rung, default.required_rung),
        "otherPods": (policy.other_pods, default.other_pods),
        "priorityClass": (policy.priority_class, ""),
        "promisePercent": (policy.promise_percent, None),
        "minReady": (policy.min_ready, None),
        "partialNodes": (policy.partial_nodes, default.partial_nodes),
        "exclusive": (policy.exclusive, default.exclusive),
        "nvlink": (policy.nvlink, default.nvlink),
        "owner": (policy.owner, ""),
        "reviewOn": (policy.review_on.isoformat() if policy.review_on else "", ""),
    }
    return {name: value for name, (value, usual) in told.items() if value != usual}


def _written_toleration(one: Toleration) -> dict[str, str]:
    return _without_empty(one.key, operator=one.operator, value=one.value, effect=one.effect)


def _without_empty(key: str, **fields: str) -> dict[str, str]:
    return {name: value for name, value in {"key": key, **fields}.items() if value}
