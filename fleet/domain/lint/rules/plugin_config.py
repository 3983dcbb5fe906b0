"""The device-plugin configuration that a node requests is missing, ambiguous, or unreadable."""

from __future__ import annotations

from fleet.domain.devices.sources import plugin_config
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, from_inspection, not_applicable

ID = "plugin_config"
_REMEDIES = {
    "plugin_config_missing_key": "Add the key to the device plugin's ConfigMap, or change the node's label "
    "nvidia.com/device-plugin.config to one that is there.",
    "plugin_config_ambiguous": "Keep one ConfigMap: which of them the plugin of this node reads is unknown.",
    "plugin_config_unreadable": "Correct the YAML under that key of the ConfigMap; until then the previous one stays in effect.",
}


def check(subject: NodeSubject) -> RuleResult:
    wanted = plugin_config.choose(subject.node.labels, subject.snapshot.device_plugin)
    if not wanted.key:
        return not_applicable(ID, "No device-plugin configuration applies to this node.")
    return answer(ID, from_inspection(subject, ID, _REMEDIES))


RULE = Rule(
    id=ID,
    title="Device-plugin configuration cannot be used",
    severity=Severity.WARNING,
    needs=("nodes", "device_plugin_config"),
    check=check,
)
