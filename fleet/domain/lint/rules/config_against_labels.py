"""The device-plugin configuration wants one way of sharing, the node's labels tell of another."""

from __future__ import annotations

from fleet.domain.findings import RuleResult
from fleet.domain.lint.answers import answer, from_remarks, labels_of, not_applicable, unknown
from fleet.domain.rules import Rule
from fleet.domain.sources import plugin_config
from fleet.domain.subject import NodeSubject

ID = "config_disagrees_with_labels"
_REMEDIES = {
    ID: "Restart the device plugin and GPU feature discovery of the node, so that both read the configuration anew.\n"
    "If labels and configuration still differ, one of them reads another ConfigMap or another key."
}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_remarks(subject, ID, _REMEDIES, rung="labels_accurate")
    if findings:
        return answer(ID, findings)
    wanted = plugin_config.choose(subject.node.labels, subject.snapshot.device_plugin)
    if wanted.problem:
        return unknown(ID, f"The configuration “{wanted.key}” cannot be used, so nothing can be held against the labels.")
    if wanted.config is None:
        return not_applicable(ID, "No device-plugin configuration applies to this node.")
    told = labels_of(subject)
    if told.replicas is None and not any(mig.replicas is not None for mig in told.mig.values()):
        return unknown(ID, "No label tells how the cards are shared.")
    return answer(ID, ())


RULE = Rule(id=ID, title="Configuration and labels disagree", needs=("nodes", "device_plugin_config"), check=check)
