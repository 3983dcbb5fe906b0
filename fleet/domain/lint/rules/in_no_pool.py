"""A GPU node that no pool selects: it has no availability target, and no class schedules work on it."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, not_applicable

ID = "in_no_pool"
_SUSTAIN_S = 180
"""A new node is put into its pools by the run that records it, after its evaluation."""


def check(subject: NodeSubject) -> RuleResult:
    if not subject.cluster.history.has_pools:
        return not_applicable(ID, "No pool is declared.")
    if subject.policy.pools:
        return answer(ID, ())
    fields = {
        "product": subject.devices.product,
        "partitioning": subject.devices.partitioning,
        "sharing": subject.devices.sharing,
    }
    finding = Finding(
        rule=ID,
        severity=Severity.INFO,
        text="This node is in no pool: no policy applies to it, and no workload class can use it.",
        evidence=tuple(Evidence("node", name, str(value)) for name, value in fields.items() if value),
        remedy="Widen the selector of the pool it belongs to, or label the node to match that pool's selector.\n"
        "Or adopt a suggested pool for it on the Pools page.",
        sustain_s=_SUSTAIN_S,
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="GPU node in no pool", severity=Severity.INFO, needs=("nodes",), check=check)
