"""Different driver versions inside one pool, or in a cluster without pools: a workload runs on either."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from fleet.domain.evaluation.node_upgrade import upgrade_required, upgrading
from fleet.domain.evaluation.rules import ClusterRule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, not_applicable

ID = "driver_skew"
_MOST_VERSIONS = 6


def check(subjects: Sequence[NodeSubject]) -> RuleResult:
    groups: dict[tuple[str, str], list[NodeSubject]] = defaultdict(list)
    for subject in subjects:
        if subject.devices.vendor:
            groups[subject.policy.pool, subject.devices.vendor].append(subject)
    if not any(len(members) > 1 for members in groups.values()):
        return not_applicable(ID, "There are no two GPU nodes of one vendor to compare.")
    findings, blind = [], []
    for (pool, vendor), members in sorted(groups.items()):
        versions, untold = _versions(members)
        key = f"{pool}:{vendor}" if pool else vendor
        if len(versions) > 1:
            findings.append(_finding(pool, key, versions, members))
        elif untold and len(members) > 1:
            blind.append(key)
    return answer(ID, findings, blind=blind)


def _versions(members: Sequence[NodeSubject]) -> tuple[Counter[str], int]:
    """Returns nodes by driver version, and the number of nodes without one.

    A DRA driver writes 580.95.05 as 580.95.5, because its versions are semantic: both count as one, under the more frequent
    spelling.
    """
    spellings: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    untold = 0
    for subject in members:
        version = subject.devices.driver_version
        untold += not version
        if version:
            spellings[tuple(part.lstrip("0") or "0" for part in version.split("."))][version] += 1
    return Counter(
        {max(sorted(spelling), key=lambda row: spelling[row]): spelling.total() for spelling in spellings.values()}
    ), untold


def _finding(pool: str, key: str, versions: Counter[str], members: Sequence[NodeSubject]) -> Finding:
    ranked = sorted(versions.items(), key=lambda pair: (-pair[1], pair[0]))
    moving = any(upgrading(subject) or upgrade_required(subject) for subject in members)
    where = f"pool {pool}" if pool else "the cluster"
    words = ", ".join(f"{_nodes(number)} on {version}" for version, number in ranked[:_MOST_VERSIONS])
    more = f" and {len(ranked) - _MOST_VERSIONS} further versions" if len(ranked) > _MOST_VERSIONS else ""
    return Finding(
        rule=ID,
        severity=Severity.INFO if moving else Severity.WARNING,
        text=f"Drivers differ within {where}: {words}{more}.",
        key=key,
        subject="pool" if pool else "cluster",
        evidence=tuple(Evidence("label", f"driver {version}", _nodes(number)) for version, number in ranked),
        remedy="A driver upgrade is in progress: check again when all nodes are done."
        if moving
        else "Use one version on all of its nodes: the operator's driver.version, the machine image, or a separate pool "
        "for the nodes that must differ.",
        rung="driver_loaded",
    )


def _nodes(number: int) -> str:
    return "1 node" if number == 1 else f"{number} nodes"


RULE = ClusterRule(id=ID, title="Driver versions differ", severity=Severity.WARNING, needs=("nodes",), check=check)
