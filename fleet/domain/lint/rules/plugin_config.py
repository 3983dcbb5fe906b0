"""The device-plugin configuration a node asks for is missing, told twice, or cannot be read."""

from __future__ import annotations

from fleet.domain.findings import RuleResult
from fleet.domain.lint.answers import answer, from_remarks, not_applicable
from fleet.domain.rules import Rule
from fleet.domain.sources import plugin_config
from fleet.domain.subject import NodeSubject

ID = "plugin_config"
_REMEDIES = {
    "plugin_config_missing_key": "Add the key to the device plugin's ConfigMap, or change the node's label "
    "nvidia.com/device-plugin.config to one that is there.",
    "plugin_config_ambiguous": "Keep one ConfigMap: nobody can tell which of them the plugin of this node reads.",
    "plugin_config_unreadable": "Correct the YAML under that key of the ConfigMap; until then the former one stays in force.",
}


def check(subject: NodeSubject) -> RuleResult:
    wanted = plugin_config.choose(subject.node.labels, subject.snapshot.device_plugin)
    if not wanted.key:
        return not_applicable(ID, "No device-plugin configuration applies to this node.")
    return answer(ID, from_remarks(subject, ID, _REMEDIES))


RULE = Rule(id=ID, title="Device-plugin configuration cannot be used", needs=("nodes", "device_plugin_config"), check=check)
