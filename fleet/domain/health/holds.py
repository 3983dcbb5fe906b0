"""What keeps a node or one of its devices out of service, and whether the cause stated for it is still there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from fleet.domain import labels
from fleet.domain.catalog import thresholds
from fleet.domain.catalog.monitors import Meaning
from fleet.domain.devices.detection import is_gpu_device
from fleet.domain.dra.taints import BLOCKING, rule_of, rules_for, setter_of
from fleet.domain.evaluation.node_upgrade import upgrade_of
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.health.conditions import MonitorCondition, monitor_conditions
from fleet.domain.health.node_measurements import gpus
from fleet.domain.health.readiness_gates import gates
from fleet.domain.health.signals import NodeSignal, meaning, signals
from fleet.domain.snapshot import DraDevice, Taint
from fleet.domain.snapshot.nodes import FieldManager

_OUT: tuple[Meaning, ...] = ("quarantined", "drained", "repair")
_CAUSES: tuple[Meaning, ...] = ("fault", "warning", "validating")
_SLURM = ("Slinky", "CoreWeave SUNK")
_GATES = "Node Readiness Controller"
CORDON = "unschedulable"
_TOOLS = {
    "nvsentinel": "NVSentinel",
    "fault-quarantine": "NVSentinel",
    "eks-node-monitoring-agent": "EKS node monitoring agent",
    "autopilot": "IBM Autopilot",
    "hyperpod": "HyperPod",
}
"""What the name of a field manager contains, to the tool that states a cause for its cordons."""
_OPERATOR = "gpu-operator"
_WRITTEN_AT_START = frozenset({"node-problem-detector", "AKS node problem detector", "GCM health checks"})
"""Monitors that write every condition again when they start, so that a late transition of all of them ends no fault."""
_FAULTS = (
    "xid", "ecc", "unhealthy", "broken", "fault", "error", "lost", "fail", "degraded", "bad", "quarantine", "repair", "nvlink",
    "thermal", "overheat", "remap",
)  # fmt: skip
"""Words in a manually set taint that state a fault. Others (reserved, drain, inspection) state none."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One statement that keeps a node or device out. `cause` is whether its stated cause is there; None where unknown."""

    holder: str
    place: str
    """label, annotation, taint, pod_condition, cordon, device_taint or taint_rule."""
    key: str
    value: str = ""
    cause: bool | None
    why: str = ""
    """Evidence that the cause is gone, besides the holder's own statement."""
    device: str = ""
    setters: tuple[FieldManager, ...] = ()

    @property
    def name(self) -> str:
        """Returns what distinguishes it from the node's other holds."""
        return f"{self.device}/{self.key}" if self.device else self.key


def holds_of(subject: NodeSubject) -> tuple[Hold, ...]:
    """Returns every hold with a stated cause, on the node and on its devices."""
    signals = list({(signal.monitor, signal.key): signal for signal in meaning(subject, *_OUT)}.values())
    rows = [_of_signal(subject, signal) for signal in signals]
    rows += _of_gates(subject)
    if not rows and subject.node.unschedulable:
        rows += _of_cordon(subject)
    rows += _of_devices(subject)
    return tuple(rows)


def _of_signal(subject: NodeSubject, signal: NodeSignal) -> Hold:
    field = {"taint": "taints"}.get(signal.place, f"{signal.place} {signal.key}")
    return Hold(
        holder=signal.monitor,
        place=signal.place,
        key=signal.key,
        value=signal.value,
        cause=_slurm_cause(subject) if signal.monitor in _SLURM else _cause_of_tool(subject, signal.monitor),
        setters=_setters(subject, field, *([CORDON] if subject.node.unschedulable else [])),
    )


def _slurm_cause(subject: NodeSubject) -> bool | None:
    """Returns False where every health tool reports the node as healthy: Slurm does not publish the cause of a drain."""
    return False if monitor_conditions(subject.node) and not _any_fault(subject) else None


def _cause_of_tool(subject: NodeSubject, monitor: str) -> bool | None:
    """Returns whether the tool that holds the node still reports a fault; None where that is unknown."""
    conditions = [condition for condition in monitor_conditions(subject.node) if condition.monitor == monitor]
    if any(condition.bad for condition in conditions):
        return True
    own = [signal for signal in signals(subject) if signal.monitor == monitor]
    if any(signal.meaning in _CAUSES for signal in own):
        return True
    if any(condition.bad is None for condition in conditions):
        return None
    well = any(condition.bad is False for condition in conditions) or any(signal.meaning == "good" for signal in own)
    return False if well else None  # that nothing is reported is no proof that the cause is gone


def _any_fault(subject: NodeSubject) -> bool:
    return any(condition.bad is not False for condition in monitor_conditions(subject.node)) or bool(meaning(subject, *_CAUSES))


def _of_gates(subject: NodeSubject) -> Iterator[Hold]:
    """Yields taints of NodeReadinessRules. Without a rule that has it, or with all its conditions met, a taint has no cause."""
    taints = {signal.key: signal for signal in meaning(subject, "validating") if signal.monitor == _GATES}
    if not taints:
        return
    rules = subject.snapshot.readiness_rules
    known = subject.snapshot.knows("readiness_rules") and all(rule.selects for rule in rules)
    selecting = [gate for gate in gates(rules, subject.node) if not gate.rule.dry_run]
    for key, signal in taints.items():
        own = [gate for gate in selecting if gate.rule.taint.key == key]
        cause = any(gate.unmet for gate in own) if known else None
        why = "all conditions of its rule are met" if own else "no NodeReadinessRule has this taint for the node"
        yield Hold(
            holder=_GATES,
            place="taint",
            key=key,
            value=signal.value,
            cause=cause,
            why=why,
            setters=_setters(subject, "taints"),
        )


def _of_cordon(subject: NodeSubject) -> Iterator[Hold]:
    """Yields a cordon with a known cause: set by a tool, by the driver upgrade, or while a condition named a fault.

    A cordon of which nothing of that is known states no cause, and may be planned work.
    """
    setters = _setters(subject, CORDON)
    if not setters:
        return
    manager = setters[0].manager.lower()
    tool = next((name for part, name in _TOOLS.items() if part in manager), "")
    cause: bool | None
    if tool:
        holder, why, cause = tool, "", _cause_of_tool(subject, tool)
    elif _OPERATOR in manager:
        if upgrade_of(subject).phase != "done":
            return
        holder, why, cause = "The GPU Operator", "its driver upgrade is done", False
    else:
        cleared = _cleared(subject, setters[0])
        if not cleared:
            return
        holder, cause = f"A cordon by {setters[0].manager}", _any_fault(subject)
        why = f"{', '.join(condition.type for condition in cleared)} has been normal since {cleared[-1].at:%Y-%m-%d %H:%M} UTC"
    yield Hold(holder=holder, place="cordon", key=CORDON, value="true", cause=cause, why=why, setters=setters)


def _cleared(subject: NodeSubject, setter: FieldManager) -> list[MonitorCondition]:
    """Returns conditions that named a fault when the node was cordoned and have cleared since, oldest first.

    None after a reboot since: monitors then write their conditions again.
    """
    if setter.at is None or (subject.booted_at is not None and subject.booted_at >= setter.at):
        return []
    conditions = monitor_conditions(subject.node)
    turned = [row for row in conditions if row.bad is False and row.at is not None and row.at > setter.at]
    stood = {row.monitor for row in conditions if row.at is not None and row.at <= setter.at}
    real = [row for row in turned if row.monitor not in _WRITTEN_AT_START or row.monitor in stood]
    return sorted(real, key=lambda row: (row.at or subject.now, row.type))


def _of_devices(subject: NodeSubject) -> Iterator[Hold]:
    """Yields taints of GPU devices that state a fault: those of the driver, and of rules that name one."""
    classes = {device_class.name: device_class for device_class in subject.snapshot.device_classes}
    for device in subject.dra_devices:
        if not device.taints or not is_gpu_device(device):
            continue
        rules = rules_for(device, subject.snapshot.taint_rules, classes)
        for taint in device.taints:
            if taint.effect not in BLOCKING or taint.key in labels.DRA_LAYOUT_TAINTS:
                continue
            rule = rule_of(taint, rules)
            setter = setter_of(device, rule)
            if rule is None and not subject.snapshot.knows("device_taint_rules"):
                continue  # who set the taint is unknown
            if rule is not None and not _states_fault(taint):
                continue
            yield Hold(
                holder=f"DeviceTaintRule {rule.name}" if rule else f"The driver {device.driver}",
                place="taint_rule" if rule else "device_taint",
                key=taint.key,
                value=rule.name if rule else f"{taint.value}:{taint.effect}".lstrip(":"),
                cause=_device_fault(subject, device),
                why="its GPU is measured and shows no fault",
                device=device.name,
                setters=() if setter is None else (setter,),
            )


def _states_fault(taint: Taint) -> bool:
    text = f"{taint.key.rpartition('/')[2]} {taint.value}".lower()
    return any(word in text for word in _FAULTS)


def _device_fault(subject: NodeSubject, device: DraDevice) -> bool | None:
    """Returns whether anything reports a fault of the device's GPU; None where it is not measured now."""
    uuid = device.parent_uuid or device.uuid
    if not uuid:
        return None
    sticky = thresholds.load().xid.sticky
    if any(burst.uuid == uuid and not subject.clock.is_past(burst.last_at, sticky) for burst in subject.history.bursts):
        return True
    if any(uuid in finding.key for finding in subject.history.standing):
        return True
    conditions = monitor_conditions(subject.node)
    if any(row.bad and _concerns(row, uuid) for row in conditions) or meaning(subject, "fault"):
        return True
    if any(row.bad is None and _concerns(row, uuid) for row in conditions):
        return None
    return False if any(gpu.uuid == uuid and gpu.is_present for gpu in gpus(subject)) else None


def _concerns(condition: MonitorCondition, uuid: str) -> bool:
    """Returns whether a condition may be about this GPU: it names it, or no GPU at all."""
    return not condition.uuids or uuid in condition.uuids


def _setters(subject: NodeSubject, *fields: str) -> tuple[FieldManager, ...]:
    """Returns who wrote these fields of the node last, by its managedFields."""
    return tuple(_known(subject.node.manager_of(field) for field in fields))


def _known(managers: Iterable[FieldManager | None]) -> Iterator[FieldManager]:
    return (manager for manager in managers if manager is not None)
