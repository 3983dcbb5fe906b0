"""DRA devices excluded from scheduling by a taint: the driver or an operator marks them unhealthy."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.devices.detection import is_gpu_device
from fleet.domain.dra.taints import rule_of, rules_for, setter_of
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, not_applicable
from fleet.domain.snapshot.nodes import FieldManager

ID = "device_taints"
_KEEP_OUT = frozenset({"NoSchedule", "NoExecute"})


def check(subject: NodeSubject) -> RuleResult:
    devices = [device for device in subject.dra_devices if is_gpu_device(device)]
    if not devices:
        return not_applicable(ID, "No DRA driver publishes this node's GPUs.")
    findings = []
    classes = subject.snapshot.device_classes if subject.snapshot.knows("device_classes") else None
    known = None if classes is None else {device_class.name: device_class for device_class in classes}
    for device in devices:
        taints = [taint for taint in device.taints if taint.effect in _KEEP_OUT and taint.key not in labels.DRA_LAYOUT_TAINTS]
        if taints:
            words = ", ".join(f"{taint.key}={taint.value}" if taint.value else taint.key for taint in taints)
            rules = rules_for(device, subject.snapshot.taint_rules, known)
            origins = [rule_of(taint, rules) for taint in taints]
            setters = list(dict.fromkeys(filter(None, (setter_of(device, rule) for rule in origins))))
            findings.append(
                Finding(
                    rule=ID,
                    severity=Severity.WARNING,
                    text=f"Device {device.name} is excluded from scheduling by a taint: {words}.{_set_by(setters)}",
                    key=f"{device.driver}/{device.name}",
                    subject="mig_instance" if device.type == "mig" else "gpu",
                    evidence=tuple(
                        Evidence(
                            "resource_slice", f"{device.name} taint {taint.key}", f"{taint.value}:{taint.effect}".lstrip(":")
                        )
                        for taint in taints
                    )
                    + tuple(Evidence("device_taint_rule", rule.name, str(rule.taint.effect)) for rule in origins if rule)
                    + tuple(Evidence("managed_fields", setter.field, _written(setter)) for setter in setters),
                    remedy="Check the GPU first: the driver taints devices after an Xid or when they are lost.\n"
                    "The taint disappears with its cause, or with the DeviceTaintRule that sets it.",
                    rung="resources_advertised",
                )
            )
    return answer(ID, findings)


def _set_by(setters: Sequence[FieldManager]) -> str:
    names = dict.fromkeys(setter.manager for setter in setters)
    return f" Set by {' and '.join(names)}." if names else ""


def _written(setter: FieldManager) -> str:
    return f"{setter.manager} at {setter.at:%Y-%m-%d %H:%M} UTC" if setter.at else setter.manager


RULE = Rule(id=ID, title="Device excluded by a taint", severity=Severity.WARNING, needs=("nodes", "resource_slices"), check=check)
