"""A node in two exclusive pools: two policies apply, and both count its slots."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, not_applicable

ID = "in_rival_pools"


def check(subject: NodeSubject) -> RuleResult:
    rivals = subject.policy.rivals
    if not subject.cluster.history.has_pools:
        return not_applicable(ID, "No pool is declared.")
    if len(rivals) < 2:
        return answer(ID, ())
    finding = Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"This node is in {len(rivals)} pools that exclude each other: {', '.join(rivals)}.",
        evidence=tuple(Evidence("pool", slug, "exclusive") for slug in rivals),
        remedy=f"Narrow the selector of one of them; until then the policy of {rivals[0]} applies.\n"
        "Or set policy.exclusive: false for one of them if the node belongs in both.",
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="Node in two exclusive pools", severity=Severity.WARNING, needs=("nodes",), check=check)
