"""DRA devices that a taint keeps from the scheduler: the driver or somebody says they are not well."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.gpu_nodes import is_gpu_device
from fleet.domain.lint.answers import answer, not_applicable
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "device_taints"
_KEEP_OUT = frozenset({"NoSchedule", "NoExecute"})


def check(subject: NodeSubject) -> RuleResult:
    devices = [device for device in subject.dra_devices if is_gpu_device(device)]
    if not devices:
        return not_applicable(ID, "No DRA driver offers this node's cards.")
    findings = []
    for device in devices:
        taints = [taint for taint in device.taints if taint.effect in _KEEP_OUT and taint.key not in labels.DRA_LAYOUT_TAINTS]
        if taints:
            words = ", ".join(f"{taint.key}={taint.value}" if taint.value else taint.key for taint in taints)
            findings.append(
                Finding(
                    rule=ID,
                    severity=Severity.WARNING,
                    text=f"Device {device.name} is kept from the scheduler by a taint: {words}.",
                    key=f"{device.driver}/{device.name}",
                    subject="mig_instance" if device.type == "mig" else "gpu",
                    evidence=tuple(
                        Evidence(
                            "resource_slice", f"{device.name} taint {taint.key}", f"{taint.value}:{taint.effect}".lstrip(":")
                        )
                        for taint in taints
                    ),
                    remedy="Look at the card first: the driver taints devices after an Xid or when they are lost.\n"
                    "The taint goes with its cause, or with the DeviceTaintRule somebody wrote.",
                    rung="resources_advertised",
                )
            )
    return answer(ID, findings)


RULE = Rule(id=ID, title="Device kept from the scheduler", needs=("nodes", "resource_slices"), check=check)
