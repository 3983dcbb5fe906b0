"""One crash of one job over many nodes: one finding for the cluster, so that it is not taken for many broken nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from fleet.domain.catalog import thresholds, xids
from fleet.domain.evaluation.rules import ClusterRule
from fleet.domain.evaluation.subject import NodeSubject, XidBurst
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health import bursts
from fleet.domain.health.node_measurements import gpus, has_lasted
from fleet.domain.health.xids import METRIC

ID = "xid_incident"
_SHOWN_NODES = 20


def check(subjects: Sequence[NodeSubject]) -> RuleResult:
    """Returns incidents of at least two nodes whose last event is within the sticky window."""
    first, limits = subjects[0], thresholds.load().xid
    everything = [burst for subject in subjects for burst in subject.history.bursts]
    names = bursts.incidents(everything, limits.quiet, realm=first.snapshot.name)
    groups: dict[str, list[XidBurst]] = defaultdict(list)
    for burst in sorted(everything, key=bursts.key_in_time):
        groups[names[bursts.key(burst)]].append(burst)
    rows = [
        _finding(name, group, first)
        for name, group in sorted(groups.items())
        if len({burst.node_name for burst in group}) > 1 and any(burst.last_at >= first.now - limits.sticky for burst in group)
    ]
    worst = max((item.severity.rank for item in rows if has_lasted(first, item)), default=0)
    if worst >= Severity.WARNING.rank:
        status = Status.FAIL if worst >= Severity.CRITICAL.rank else Status.WARN
        return RuleResult(rule=ID, status=status, findings=tuple(rows))
    if not all(_watched(subject) for subject in subjects):
        return RuleResult(
            rule=ID, status=Status.UNKNOWN, reason="Not every GPU node reports its Xid errors.", findings=tuple(rows)
        )
    return RuleResult(rule=ID, status=Status.PASS, findings=tuple(rows))


def _watched(subject: NodeSubject) -> bool:
    seen = gpus(subject)
    return bool(seen) and all(gpu.value(METRIC) is not None for gpu in seen)


def _finding(name: str, group: Sequence[XidBurst], subject: NodeSubject) -> Finding:
    policies = [xids.policy(code, subject.cluster.history.xids) for code in sorted({burst.code for burst in group})]
    worst = max((Severity(policy.severity) for policy in policies), key=lambda severity: severity.rank)
    codes = ", ".join(str(policy.code) for policy in policies)
    nodes = sorted({burst.node_name for burst in group})
    return Finding(
        rule=ID,
        severity=worst,
        text=f"One crash of {group[0].job} over several nodes: Xid {codes}.",
        key=name,
        subject="cluster",
        evidence=(
            Evidence("pod", "job", group[0].job),
            *(Evidence("xid", str(policy.code), policy.name) for policy in policies),
            *(Evidence("node", "on", node) for node in nodes[:_SHOWN_NODES]),
        ),
        remedy="Find the rank that failed first: there is one cause, not one per node.",
    )


RULE = ClusterRule(id=ID, title="One crash over many nodes", severity=Severity.CRITICAL, needs=(), check=check)
