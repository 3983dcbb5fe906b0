"""What is wrong with a pool or a class, as findings: one for each kind of broken condition, without a figure that wobbles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fleet.domain.findings import Evidence, Finding, Severity
from fleet.domain.pools.keeping import BROKEN, Broken

MOST_NODES = 20
"""Nodes named as evidence of one finding."""


class PromiseRule(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of broken condition: its title, how bad it is, its sentence ({name} is the pool or class), what to do."""

    title: str
    severity: Severity
    text: str
    remedy: str


_WARN, _CRITICAL, _INFO = Severity.WARNING, Severity.CRITICAL, Severity.INFO

POOL_RULES: dict[str, PromiseRule] = {
    "empty": PromiseRule(
        title="Pool without a node",
        severity=_WARN,
        text="No node is in pool {name}.",
        remedy="Compare the pool's selector with the labels of the nodes it is meant for.\n"
        "Remove the pool if it is no longer needed.",
    ),
    "mixed_products": PromiseRule(
        title="Pool of several products",
        severity=_WARN,
        text="The nodes of pool {name} have more than one product.",
        remedy="Narrow the selector to one product.\nOr allow several in the pool's policy (oneProduct: false).",
    ),
    "driver_skew": PromiseRule(
        title="Several drivers in one pool",
        severity=_WARN,
        text="Several driver versions run side by side in pool {name}.",
        remedy="Finish the driver upgrade on the nodes that lag behind.\n"
        "Or allow several drivers in the pool's policy (oneDriver: false).",
    ),
    "driver_out_of_range": PromiseRule(
        title="Driver outside the pool's range",
        severity=_WARN,
        text="Nodes of pool {name} have a driver outside the range of its policy.",
        remedy="Bring the driver of these nodes into the range, or change the range in the policy.",
    ),
    "missing_taint": PromiseRule(
        title="Pool's taint is missing",
        severity=_WARN,
        text="Nodes of pool {name} lack a taint that its policy requires.",
        remedy="Set the taint in the node pool's template, so that new nodes come with it, and on the nodes that are there.",
    ),
    "unexpected_taint": PromiseRule(
        title="Taint that the pool does not name",
        severity=_WARN,
        text="Nodes of pool {name} carry a taint that its policy does not name: pods for the pool stay away.",
        remedy="Remove the taint from the nodes, or name it in the policy, so that manifests tolerate it.",
    ),
    "wrong_mode": PromiseRule(
        title="Sharing mode the pool does not allow",
        severity=_CRITICAL,
        text="Nodes of pool {name} share their GPUs in a way its policy does not allow.",
        remedy="Set the device plugin's configuration or the MIG layout of these nodes back, or allow the mode in the policy.",
    ),
    "unknown_mode": PromiseRule(
        title="Unknown sharing mode in a pool",
        severity=_INFO,
        text="Nobody can tell what one slot is on some nodes of pool {name}.",
        remedy="See on each node's page which label or resource is missing.",
    ),
    "squatters": PromiseRule(
        title="Pods without a GPU in a pool",
        severity=_INFO,
        text="Pods that ask for no GPU run on nodes of pool {name}.",
        remedy="Move them to other nodes, and taint the pool's nodes.\nOr allow other pods in the policy (otherPods: true).",
    ),
    "too_few_ready": PromiseRule(
        title="Too few ready nodes in a pool",
        severity=_CRITICAL,
        text="Fewer nodes of pool {name} are ready than its policy asks for.",
        remedy="Repair the nodes that are not ready: each one's page says what is broken first.",
    ),
    "promise_broken": PromiseRule(
        title="Promise of a pool broken",
        severity=_CRITICAL,
        text="Pool {name} was ready for less of the last 30 days than it promises.",
        remedy="See in History which nodes were out of ready, and why.",
    ),
    "below_promise": PromiseRule(
        title="Pool below its promise now",
        severity=_WARN,
        text="Fewer nodes of pool {name} are ready now than it promises over 30 days.",
        remedy="Repair the nodes that are not ready: each one's page says what is broken first.",
    ),
    "review_overdue": PromiseRule(
        title="Review of a pool overdue",
        severity=_INFO,
        text="The review of pool {name} is overdue.",
        remedy="Ask its owner whether purpose and policy still hold, and set the next date (reviewOn).",
    ),
}

CLASS_RULES: dict[str, PromiseRule] = {
    "pools": PromiseRule(
        title="Pool of a class breaks its policy",
        severity=_WARN,
        text="A pool that class {name} rests on does not keep its policy.",
        remedy="Mend what the finding of the pool names.",
    ),
    "no_pool": PromiseRule(
        title="Class without a pool",
        severity=_CRITICAL,
        text="Nothing stands behind class {name}: it has no pool.",
        remedy="Name a pool in the class, or take the class out of the catalogue.",
    ),
    "pool_gone": PromiseRule(
        title="Pool of a class is gone",
        severity=_WARN,
        text="A pool that class {name} names does not exist.",
        remedy="Take the pool out of the class, or declare it again.",
    ),
    "pool_cannot": PromiseRule(
        title="Pool cannot keep the class",
        severity=_WARN,
        text="A pool of class {name} offers nothing of what the class promises.",
        remedy="Compare the class with the pool: sharing mode, product, profile, driver.",
    ),
    "wrong_nodes": PromiseRule(
        title="Nodes not as the class promises",
        severity=_WARN,
        text="Nodes in the pools of class {name} are not what the class promises.",
        remedy="Narrow the pool to the nodes that are, or change what the class promises.",
    ),
    "nothing_keeps_it": PromiseRule(
        title="No pool keeps the class",
        severity=_CRITICAL,
        text="None of the pools of class {name} offers what it promises.",
        remedy="Set the nodes back to the sharing mode, product and driver that the class promises, or change the class.",
    ),
    "none_ready": PromiseRule(
        title="No node ready for a class",
        severity=_CRITICAL,
        text="No node in the pools of class {name} is ready.",
        remedy="Repair the nodes: each one's page says what is broken first.",
    ),
    "never_fits": PromiseRule(
        title="Class that never fits",
        severity=_CRITICAL,
        text="Not even an empty fleet has room for one replica of class {name}.",
        remedy="Ask for fewer GPUs per replica, or give the class a pool with larger nodes.",
    ),
    "no_room": PromiseRule(
        title="No room for a class",
        severity=_INFO,
        text="No replica of class {name} fits now.",
        remedy="See on the class's page which nodes are full, broken or not read.",
    ),
}
TITLES = {f"pool_{code}": rule.title for code, rule in POOL_RULES.items()} | {
    f"class_{code}": rule.title for code, rule in CLASS_RULES.items()
}
"""Id of each rule of pools and classes to its title for people."""


def of_pool(slug: str, broken: Iterable[Broken]) -> tuple[Finding, ...]:
    """The findings of one pool, one for each code."""
    return _findings("pool", "pool", slug, POOL_RULES, [(one.code, one) for one in broken])


def of_class(slug: str, reasons: Iterable[Broken]) -> tuple[Finding, ...]:
    """The findings of one class. What it inherits from its pools is one finding: the pools have their own."""
    told = []
    for one in reasons:
        code = "pools" if one.pool else one.code
        told.append(("wrong_nodes" if code.startswith("wrong_") else code, one))
    return _findings("class", "workload_class", slug, CLASS_RULES, told)


def _findings(
    prefix: str, subject: str, slug: str, rules: Mapping[str, PromiseRule], told: Iterable[tuple[str, Broken]]
) -> tuple[Finding, ...]:
    by_code: dict[str, list[Broken]] = {}
    for code, one in told:
        by_code.setdefault(code, []).append(one)
    found = []
    for code, ones in by_code.items():
        rule = rules.get(code)
        bad = any(one.state == BROKEN for one in ones)
        text = (rule.text if rule else "{name}: " + code.replace("_", " ") + ".").format(name=slug)
        severity = rule.severity if rule else Severity.WARNING
        if code == "pools" and bad:
            severity = Severity.CRITICAL
        found.append(
            Finding(
                rule=f"{prefix}_{code}",
                severity=severity,
                text=text,
                key=slug,
                subject=subject,
                evidence=tuple(_evidence(ones)),
                remedy=rule.remedy if rule else "",
            )
        )
    return tuple(found)


def _evidence(ones: Iterable[Broken]) -> list[Evidence]:
    """The nodes (named up to MOST_NODES) or the pools it is about; names only, so that it changes when they do and not before."""
    pools = {one.pool: one.code for one in ones if one.pool}
    if pools:
        return [Evidence("pool", slug, code.replace("_", " ")) for slug, code in sorted(pools.items())]
    nodes = sorted({key for one in ones for key in one.nodes})
    shown = [Evidence("node", f"{cluster}/{name}", "affected") for cluster, name in nodes[:MOST_NODES]]
    if len(nodes) > MOST_NODES:
        shown.append(Evidence("node", "more nodes", str(len(nodes) - MOST_NODES)))
    return shown
