"""DRA devices excluded from scheduling by a taint: the driver or an operator marks them unhealthy."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.devices.detection import is_gpu_device
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, not_applicable

ID = "device_taints"
_KEEP_OUT = frozenset({"NoSchedule", "NoExecute"})


def check(subject: NodeSubject) -> RuleResult:
    devices = [device for device in subject.dra_devices if is_gpu_device(device)]
    if not devices:
        return not_applicable(ID, "No DRA driver publishes this node's GPUs.")
    findings = []
    for device in devices:
        taints = [taint for taint in device.taints if taint.effect in _KEEP_OUT and taint.key not in labels.DRA_LAYOUT_TAINTS]
        if taints:
            words = ", ".join(f"{taint.key}={taint.value}" if taint.value else taint.key for taint in taints)
            findings.append(
                Finding(
                    rule=ID,
                    severity=Severity.WARNING,
                    text=f"Device {device.name} is excluded from scheduling by a taint: {words}.",
                    key=f"{device.driver}/{device.name}",
                    subject="mig_instance" if device.type == "mig" else "gpu",
                    evidence=tuple(
                        Evidence(
                            "resource_slice", f"{device.name} taint {taint.key}", f"{taint.value}:{taint.effect}".lstrip(":")
                        )
                        for taint in taints
                    ),
                    remedy="Check the GPU first: the driver taints devices after an Xid or when they are lost.\n"
                    "The taint disappears with its cause, or with the DeviceTaintRule that sets it.",
                    rung="resources_advertised",
                )
            )
    return answer(ID, findings)


RULE = Rule(id=ID, title="Device excluded by a taint", severity=Severity.WARNING, needs=("nodes", "resource_slices"), check=check)
