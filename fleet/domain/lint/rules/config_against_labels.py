"""The device-plugin configuration and the node's labels declare different sharing."""

from __future__ import annotations

from fleet.domain.devices.sources import plugin_config
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, labels_of, not_applicable, unknown

ID = "config_disagrees_with_labels"
_REMEDIES = {
    "replicas_disagree": "Restart the node's device plugin and GPU feature discovery: both then read the configuration again.\n"
    "If labels and configuration still differ, one of them reads another ConfigMap or another key."
}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_inspection(subject, ID, _REMEDIES, rung="labels_accurate")
    if findings:
        return answer(ID, findings)
    wanted = plugin_config.choose(subject.node.labels, subject.snapshot.device_plugin)
    if wanted.problem:
        return unknown(ID, f"The configuration “{wanted.key}” cannot be used, so it cannot be compared with the labels.")
    if wanted.config is None:
        return not_applicable(ID, "No device-plugin configuration applies to this node.")
    labels = labels_of(subject)
    if labels.replicas is None and not any(mig.replicas is not None for mig in labels.mig.values()):
        return unknown(ID, "No label shows how the GPUs are shared.")
    return answer(ID, ())


RULE = Rule(
    id=ID,
    title="Configuration and labels disagree",
    severity=Severity.WARNING,
    needs=("nodes", "device_plugin_config"),
    check=check,
)
