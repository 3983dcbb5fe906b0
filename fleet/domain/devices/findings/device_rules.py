"""What the inspection of a node's devices can find: the ids of its findings, with title and worst severity."""

from __future__ import annotations

import msgspec

from fleet.domain.findings import Severity


class DeviceRule(msgspec.Struct, frozen=True):
    """One kind of finding on a node's devices."""

    title: str
    severity: Severity
    """The worst that a finding of it can have: work that is intended makes some of them information."""
    is_quiet: bool = False
    """A fact for the node's own page that needs no attention in a list."""


DEVICE_RULES: dict[str, DeviceRule] = {
    "kubelet_down": DeviceRule("Kubelet not ready", Severity.CRITICAL),
    "upgrade_failed": DeviceRule("Driver upgrade failed", Severity.CRITICAL),
    "driver_upgrade": DeviceRule("Driver upgrade in progress", Severity.INFO),
    "driver_upgrade_pending": DeviceRule("Driver upgrade due", Severity.INFO, is_quiet=True),
    "mig_config_failed": DeviceRule("MIG layout not applied", Severity.CRITICAL),
    "mig_change": DeviceRule("MIG layout changing", Severity.INFO),
    "mig_invalid": DeviceRule("Invalid MIG layout", Severity.CRITICAL),
    "mig_mode_not_used": DeviceRule("MIG mode without instances", Severity.WARNING),
    "mig_layout_assumed": DeviceRule("MIG layout assumed", Severity.INFO, is_quiet=True),
    "dynamic_mig": DeviceRule("MIG on demand", Severity.INFO, is_quiet=True),
    "vgpu_guest": DeviceRule("Guest with vGPUs", Severity.INFO, is_quiet=True),
    "second_vendor": DeviceRule("Devices of a second vendor", Severity.INFO, is_quiet=True),
    "nothing_advertised": DeviceRule("No slot advertised", Severity.CRITICAL),
    "unhealthy_devices": DeviceRule("Slots not allocatable", Severity.CRITICAL),
    "slots_set_aside": DeviceRule("Slots set aside", Severity.WARNING),
    "fewer_slots_than_devices": DeviceRule("Fewer slots than devices", Severity.CRITICAL),
    "requested_exceeds_allocatable": DeviceRule("More slots requested than allocatable", Severity.WARNING),
    "no_gpu_evidence": DeviceRule("No evidence of GPUs", Severity.WARNING),
    "physical_unknown": DeviceRule("Number of GPUs unknown", Severity.WARNING),
    "physical_assumed": DeviceRule("Number of GPUs assumed", Severity.INFO, is_quiet=True),
    "physical_lower_bound": DeviceRule("Number of GPUs is a lower bound", Severity.WARNING),
    "telemetry_sees_fewer": DeviceRule("DCGM reports fewer GPUs", Severity.WARNING),
    "fewer_than_ordered": DeviceRule("Fewer GPUs than ordered", Severity.WARNING),
    "more_than_ordered": DeviceRule("More GPUs than ordered", Severity.WARNING),
    "slices_disagree_with_labels": DeviceRule("ResourceSlices and labels disagree", Severity.WARNING),
    "labels_missing": DeviceRule("Labels missing", Severity.INFO),
    "gfd_labels_left_behind": DeviceRule("Stale GFD labels", Severity.WARNING),
    "labels_disagree_with_resources": DeviceRule("Labels and resources disagree", Severity.WARNING),
    "replicas_disagree": DeviceRule("Configuration and labels disagree on replicas", Severity.WARNING),
    "capacity_disagrees_with_labels": DeviceRule("Capacity and labels disagree", Severity.WARNING),
    "replicas_unclear": DeviceRule("Replicas unclear", Severity.WARNING),
    "unexplained_slots": DeviceRule("More slots than the labels explain", Severity.WARNING),
    "stale_resource": DeviceRule("Stale resource", Severity.INFO, is_quiet=True),
    "phantom_slots": DeviceRule("Slots without a device", Severity.WARNING),
    "renamed_twice": DeviceRule("Devices advertised under two names", Severity.WARNING),
    "device_plugin_and_dra": DeviceRule("Device plugin and DRA at once", Severity.WARNING),
    "devices_tainted": DeviceRule("Devices excluded by taints", Severity.WARNING),
    "unreadable_value": DeviceRule("Value is not a number", Severity.WARNING),
    "plugin_config_missing_key": DeviceRule("Device-plugin configuration does not exist", Severity.WARNING),
    "plugin_config_ambiguous": DeviceRule("Device-plugin configurations differ", Severity.WARNING),
    "plugin_config_unreadable": DeviceRule("Device-plugin configuration is not valid YAML", Severity.WARNING),
    "plugin_config_unread": DeviceRule("Device-plugin configuration not read", Severity.INFO, is_quiet=True),
    "pods_unread": DeviceRule("Pods not read", Severity.WARNING),
    "claims_unread": DeviceRule("ResourceClaims not read", Severity.WARNING),
    "slices_unread": DeviceRule("ResourceSlices not read", Severity.WARNING),
    "slices_incomplete": DeviceRule("ResourceSlices incomplete", Severity.WARNING),
}
