"""A GPU node that no pool selects: nobody promised anything about it, and no class can send work there."""

from __future__ import annotations

from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.answers import answer, not_applicable
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "in_no_pool"
_SUSTAIN_S = 180
"""A node that has just joined is put into its pools by the pass that records it, after it was judged."""


def check(subject: NodeSubject) -> RuleResult:
    if not subject.cluster.has_pools:
        return not_applicable(ID, "No pool is declared.")
    if subject.policy.pools:
        return answer(ID, ())
    told = {"product": subject.devices.product, "partitioning": subject.devices.partitioning, "sharing": subject.devices.sharing}
    finding = Finding(
        rule=ID,
        severity=Severity.INFO,
        text="This node is in no pool: no promise covers it, and no workload class can use it.",
        evidence=tuple(Evidence("node", name, str(value)) for name, value in told.items() if value),
        remedy="Widen the selector of the pool it belongs to, or label the node as that pool's selector asks.\n"
        "Or adopt a suggested pool for it on the page Pools.",
        sustain_s=_SUSTAIN_S,
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="GPU node in no pool", needs=("nodes",), check=check)
