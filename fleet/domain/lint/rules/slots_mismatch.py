"""Slots that do not follow from the devices: advertised slots are not count × replicas, or some are not allocatable."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult, Severity
from fleet.domain.lint.results import answer, counted_one_by_one, from_inspection, unknown

ID = "slots_mismatch"
_PLUGIN = (
    "Read the log of the node's device plugin, which this lists: "
    "`kubectl get pods -A -o wide --field-selector spec.nodeName={node}`"
)
_REMEDIES = {
    "nothing_advertised": f"{_PLUGIN}\nIf none runs there, compare the node's labels and taints with its DaemonSet.",
    "unhealthy_devices": f"{_PLUGIN}\nA device it calls unhealthy has usually logged an Xid: look for NVRM in the kernel log.\n"
    "It stays so until the plugin restarts: restart it when the GPU is healthy.",
    "fewer_slots_than_devices": f"{_PLUGIN}\nCheck whether the driver lists the missing devices: `nvidia-smi -L`.",
    "capacity_disagrees_with_labels": "Restart the device plugin and GPU feature discovery of the node: both must read the same "
    "configuration.\nIf it comes back, compare the label nvidia.com/device-plugin.config with the ConfigMap.",
    "replicas_unclear": "Restart the device plugin and GPU feature discovery of the node, so that both show the same state.\n"
    "If the numbers still do not match, a device is missing: `nvidia-smi -L` on the node.",
}
_TAINTED = (
    "See who taints the device: `kubectl get devicetaintrules`, and the taints in the node's ResourceSlices: "
    "`kubectl get resourceslices -o yaml --field-selector spec.nodeName={node}`\n"
    "The driver removes its own taint once the GPU is healthy; a rule's taint is removed with the rule."
)


def check(subject: NodeSubject) -> RuleResult:
    by_dra = all(slots.kind.startswith("dra") for slots in subject.devices.resources if slots.capacity)
    remedies = _REMEDIES | {"unhealthy_devices": _TAINTED} if by_dra and subject.dra_devices else _REMEDIES
    findings = from_inspection(subject, ID, remedies, rung="resources_advertised")
    if findings:
        return answer(ID, findings)
    offered = [slots for slots in subject.devices.resources if slots.capacity is None or slots.capacity > 0]
    predicted = bool(offered) and all(slots.predicted is not None for slots in offered)
    if subject.devices.advertised != "full" or not predicted or not counted_one_by_one(subject):
        return unknown(ID, "No source besides the device plugin has the expected number of slots.")
    return answer(ID, ())


RULE = Rule(
    id=ID,
    title="Slots do not match the devices",
    severity=Severity.CRITICAL,
    needs=("nodes", "resource_slices", "device_plugin_config"),
    check=check,
)
