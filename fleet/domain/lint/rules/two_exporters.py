"""Two DCGM exporters on one node: every GPU appears twice, and sums over Prometheus are double."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, not_enabled, owner_of
from fleet.domain.pod_resources import holds

ID = "two_exporters"
_EXPORTERS = ("dcgm-exporter", "amd-metrics-exporter")


def check(subject: NodeSubject) -> RuleResult:
    ignored = [pod for pod in subject.pods if pod.poses_as in _EXPORTERS and pod.owner_kind == "DaemonSet" and holds(pod)]
    running = [pod for pod in (*subject.component(*_EXPORTERS), *ignored) if pod.deleting_since is None]
    owners = sorted({owner_of(pod) for pod in running})
    if len(running) == len(ignored):
        return not_enabled(ID, "No exporter runs on this node.")
    if len(owners) == 1:
        return answer(ID, ())
    finding = Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"{len(owners)} GPU exporters run on this node. Sums over their series count each GPU more than once.",
        evidence=tuple(Evidence("pod", "exporter of", owner) for owner in owners),
        remedy="Keep one: disable the cloud's managed exporter, or the operator's (dcgmExporter.enabled=false).",
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="Two exporters on one node", severity=Severity.INFO, needs=("nodes", "pods"), check=check)
