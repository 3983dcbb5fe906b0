"""Slots that do not follow from the devices: count × replicas is not what the node offers, or some of it is not allocatable."""

from __future__ import annotations

from fleet.domain.findings import RuleResult
from fleet.domain.lint.answers import answer, counted_one_by_one, from_remarks, unknown
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "slots_mismatch"
_PLUGIN = (
    "Read what the device plugin of the node says; this names it: "
    "`kubectl get pods -A -o wide --field-selector spec.nodeName={node}`"
)
_REMEDIES = {
    "nothing_offered": f"{_PLUGIN}\nIf none runs there, compare the node's labels and taints with its DaemonSet.",
    "unhealthy_devices": f"{_PLUGIN}\nA device it calls unhealthy has usually logged an Xid: look for NVRM in the kernel log.\n"
    "It stays so until the plugin restarts: do that when the card is well.",
    "fewer_slots_than_devices": f"{_PLUGIN}\nWhat it does not offer, the driver does not see either: `nvidia-smi -L`.",
    "capacity_disagrees_with_labels": "Restart the device plugin and GPU feature discovery of the node: both must read the same "
    "configuration.\nIf it comes back, compare the label nvidia.com/device-plugin.config with the ConfigMap.",
    "replicas_unclear": "Restart the device plugin and GPU feature discovery of the node, so that both tell of the same moment.\n"
    "If the numbers still do not follow from each other, a device is missing: `nvidia-smi -L` on the node.",
}


def check(subject: NodeSubject) -> RuleResult:
    findings = from_remarks(subject, ID, _REMEDIES, rung="resources_advertised")
    if findings:
        return answer(ID, findings)
    offered = [slots for slots in subject.devices.resources if slots.capacity is None or slots.capacity > 0]
    predicted = bool(offered) and all(slots.predicted is not None for slots in offered)
    if subject.devices.advertised != "full" or not predicted or not counted_one_by_one(subject):
        return unknown(ID, "Nothing independent of the device plugin tells how many slots the devices should make.")
    return answer(ID, ())


RULE = Rule(
    id=ID,
    title="Slots do not follow from the devices",
    needs=("nodes", "resource_slices", "device_plugin_config"),
    check=check,
)
