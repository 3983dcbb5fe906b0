"""Two DCGM exporters on one node: every GPU appears twice, and sums over Prometheus are double."""

from __future__ import annotations

from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.answers import answer, not_enabled, owner_of
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "two_exporters"
_EXPORTERS = ("dcgm-exporter", "amd-metrics-exporter")


def check(subject: NodeSubject) -> RuleResult:
    running = [pod for pod in subject.component(*_EXPORTERS) if pod.deleting_since is None]
    owners = sorted({owner_of(pod) for pod in running})
    if not owners:
        return not_enabled(ID, "No exporter runs on this node.")
    if len(owners) == 1:
        return answer(ID, ())
    finding = Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"{len(owners)} GPU exporters run on this node: whoever adds up their series counts each GPU more than once.",
        evidence=tuple(Evidence("pod", "exporter of", owner) for owner in owners),
        remedy="Keep one: switch off the cloud's managed exporter, or the operator's (dcgmExporter.enabled=false).",
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="Two exporters on one node", needs=("nodes", "pods"), check=check)
