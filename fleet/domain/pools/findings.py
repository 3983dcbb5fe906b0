"""Findings of pools and classes: one for each kind of violation, without figures that change from run to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fleet.domain.findings import Evidence, Finding, Severity
from fleet.domain.pools.availability import VIOLATED
from fleet.domain.pools.compliance import Violation

MOST_NODES = 20
"""Nodes named as evidence of one finding."""


class ComplianceRule(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of violation: its title, worst severity, sentence ({name} is the pool or class) and remedy."""

    title: str
    severity: Severity
    text: str
    remedy: str


_WARN, _CRITICAL, _INFO = Severity.WARNING, Severity.CRITICAL, Severity.INFO

POOL_RULES: dict[str, ComplianceRule] = {
    "empty": ComplianceRule(
        title="Pool without a node",
        severity=_WARN,
        text="No node is in pool {name}.",
        remedy="Compare the pool's selector with the labels of the nodes it is meant for.\n"
        "Remove the pool if it is no longer needed.",
    ),
    "mixed_products": ComplianceRule(
        title="Pool of several products",
        severity=_WARN,
        text="The nodes of pool {name} have more than one product.",
        remedy="Narrow the selector to one product.\nOr allow several in the pool's policy (oneProduct: false).",
    ),
    "driver_skew": ComplianceRule(
        title="Several drivers in one pool",
        severity=_WARN,
        text="Several driver versions run side by side in pool {name}.",
        remedy="Finish the driver upgrade on the nodes that lag behind.\n"
        "Or allow several drivers in the pool's policy (oneDriver: false).",
    ),
    "driver_out_of_range": ComplianceRule(
        title="Driver outside the pool's range",
        severity=_WARN,
        text="Nodes of pool {name} have a driver outside the range of its policy.",
        remedy="Bring the driver of these nodes into the range, or change the range in the policy.",
    ),
    "missing_taint": ComplianceRule(
        title="Pool's taint is missing",
        severity=_WARN,
        text="Nodes of pool {name} lack a taint that its policy requires.",
        remedy="Set the taint in the node pool's template, so that new nodes have it, and on the existing nodes.",
    ),
    "unexpected_taint": ComplianceRule(
        title="Taint that the pool does not name",
        severity=_WARN,
        text="Nodes of pool {name} have a taint that its policy does not name: pods for the pool are not scheduled there.",
        remedy="Remove the taint from the nodes, or name it in the policy, so that manifests tolerate it.",
    ),
    "wrong_mode": ComplianceRule(
        title="Sharing mode the pool does not allow",
        severity=_CRITICAL,
        text="Nodes of pool {name} share their GPUs in a way its policy does not allow.",
        remedy="Revert the device plugin's configuration or the MIG layout of these nodes, or allow the mode in the policy.",
    ),
    "unknown_mode": ComplianceRule(
        title="Unknown sharing mode in a pool",
        severity=_INFO,
        text="The sharing mode of some nodes of pool {name} is unknown.",
        remedy="Open each node to see which label or resource is missing.",
    ),
    "squatters": ComplianceRule(
        title="Pods without a GPU in a pool",
        severity=_INFO,
        text="Pods that request no GPU run on nodes of pool {name}.",
        remedy="Move them to other nodes, and taint the pool's nodes.\nOr allow other pods in the policy (otherPods: true).",
    ),
    "untargetable": ComplianceRule(
        title="Nodes of a pool cannot be selected",
        severity=_WARN,
        text="Nodes of pool {name} carry no label that identifies them: manifests cannot select them.",
        remedy="Add the label muster.dev/pool={name} to these nodes, in the template of the node pool as well.\n"
        "kubectl label node NODE muster.dev/pool={name}",
    ),
    "none_ready": ComplianceRule(
        title="No node of a pool is ready",
        severity=_WARN,
        text="No node of pool {name} is ready.",
        remedy="Repair the nodes that are not ready: each node's page shows the first broken rung.",
    ),
    "too_few_ready": ComplianceRule(
        title="Too few ready nodes in a pool",
        severity=_CRITICAL,
        text="Fewer nodes of pool {name} are ready than its policy requires.",
        remedy="Repair the nodes that are not ready: each node's page shows the first broken rung.",
    ),
    "availability_violated": ComplianceRule(
        title="Availability target violated",
        severity=_CRITICAL,
        text="Pool {name} was ready for less of the last 30 days than its availability target.",
        remedy="Open History to see which nodes were not ready, and why.",
    ),
    "availability_at_risk": ComplianceRule(
        title="Availability target at risk",
        severity=_WARN,
        text="Fewer nodes of pool {name} are ready now than its availability target.",
        remedy="Repair the nodes that are not ready: each node's page shows the first broken rung.",
    ),
    "review_overdue": ComplianceRule(
        title="Review of a pool overdue",
        severity=_INFO,
        text="The review of pool {name} is overdue.",
        remedy="Ask its owner whether purpose and policy are still correct, and set the next date (reviewOn).",
    ),
}

CLASS_RULES: dict[str, ComplianceRule] = {
    "pools": ComplianceRule(
        title="Pool of a class violates its policy",
        severity=_CRITICAL,
        text="A pool of class {name} violates its policy or availability target.",
        remedy="Fix what the finding of the pool names.",
    ),
    "no_pool": ComplianceRule(
        title="Class without a pool",
        severity=_CRITICAL,
        text="Class {name} has no pool.",
        remedy="Name a pool in the class, or remove the class from the catalogue.",
    ),
    "pool_gone": ComplianceRule(
        title="Pool of a class does not exist",
        severity=_WARN,
        text="A pool that class {name} names does not exist.",
        remedy="Remove the pool from the class, or declare it again.",
    ),
    "pool_cannot": ComplianceRule(
        title="Pool does not provide the class",
        severity=_WARN,
        text="A pool of class {name} does not provide what the class requires.",
        remedy="Compare the class with the pool: sharing mode, product, profile, driver.",
    ),
    "wrong_nodes": ComplianceRule(
        title="Nodes do not match the class",
        severity=_WARN,
        text="Nodes in the pools of class {name} do not match the class.",
        remedy="Narrow the pool to matching nodes, or change the class.",
    ),
    "nothing_keeps_it": ComplianceRule(
        title="No pool provides the class",
        severity=_CRITICAL,
        text="None of the pools of class {name} provides what it requires.",
        remedy="Set the nodes back to the sharing mode, product and driver that the class requires, or change the class.",
    ),
    "stale_manifests": ComplianceRule(
        title="Manifests in use are stale",
        severity=_WARN,
        text="Running pods of class {name} were made from manifests that select nodes outside the class.",
        remedy="Copy the manifest of the class again and apply it in these namespaces.",
    ),
    "others_match": ComplianceRule(
        title="Manifests of a class match other nodes",
        severity=_WARN,
        text="Nodes that do not match class {name} have the labels that its manifests select: pods may be scheduled there.",
        remedy="Add the label muster.dev/pool to the nodes of the class's pool, and copy the manifest again.",
    ),
    "members_match": ComplianceRule(
        title="Manifests of a class match nodes of its pool that are not of the class",
        severity=_WARN,
        text="Nodes in the pools of class {name} do not match it and have the labels that its manifests select: pods may be "
        "scheduled there.",
        remedy="Give the nodes that match the class a pool of their own, and copy the manifest again.",
    ),
    "none_ready": ComplianceRule(
        title="No node ready for a class",
        severity=_CRITICAL,
        text="No node in the pools of class {name} is ready.",
        remedy="Repair the nodes: each node's page shows the first broken rung.",
    ),
    "never_fits": ComplianceRule(
        title="Class that never fits",
        severity=_CRITICAL,
        text="One replica of class {name} would not fit even if all nodes were empty.",
        remedy="Request fewer GPUs per replica, or give the class a pool with larger nodes.",
    ),
    "no_room": ComplianceRule(
        title="No room for a class",
        severity=_INFO,
        text="No replica of class {name} fits now.",
        remedy="The page of the class shows which nodes are full, broken or not read.",
    ),
}


def of_pool(slug: str, violations: Iterable[Violation]) -> tuple[Finding, ...]:
    """Returns the findings of one pool, one for each id of its violations."""
    return _findings("pool", "pool", slug, POOL_RULES, [(violation.id, violation) for violation in violations])


def of_class(slug: str, violations: Iterable[Violation]) -> tuple[Finding, ...]:
    """Returns the findings of one class. What it inherits from its pools is one finding: the pools have their own."""
    pairs = []
    for violation in violations:
        id_ = "pools" if violation.pool else violation.id
        pairs.append(("wrong_nodes" if id_.startswith("wrong_") else id_, violation))
    return _findings("class", "workload_class", slug, CLASS_RULES, pairs)


def _findings(
    prefix: str, subject: str, slug: str, rules: Mapping[str, ComplianceRule], pairs: Iterable[tuple[str, Violation]]
) -> tuple[Finding, ...]:
    by_id: dict[str, list[Violation]] = {}
    for id_, violation in pairs:
        by_id.setdefault(id_, []).append(violation)
    findings = []
    for id_, violations in by_id.items():
        rule = rules[id_]
        severity = rule.severity
        if id_ == "pools" and all(violation.state != VIOLATED for violation in violations):
            severity = Severity.WARNING
        findings.append(
            Finding(
                rule=f"{prefix}_{id_}",
                severity=severity,
                text=rule.text.format(name=slug),
                key=slug,
                subject=subject,
                evidence=tuple(_evidence(violations)),
                remedy=rule.remedy.replace("{name}", slug),
            )
        )
    return tuple(findings)


def _evidence(violations: Iterable[Violation]) -> list[Evidence]:
    """Returns the nodes (up to MOST_NODES) or pools concerned, by name only: figures would change it at every evaluation."""
    pools = {violation.pool: violation.id for violation in violations if violation.pool}
    if pools:
        return [Evidence("pool", slug, id_.replace("_", " ")) for slug, id_ in sorted(pools.items())]
    nodes = sorted({key for violation in violations for key in violation.nodes})
    evidence = [Evidence("node", f"{cluster}/{name}", "affected") for cluster, name in nodes[:MOST_NODES]]
    if len(nodes) > MOST_NODES:
        evidence.append(Evidence("node", "more nodes", str(len(nodes) - MOST_NODES)))
    return evidence
