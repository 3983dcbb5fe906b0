"""The driver upgrade of a node: the label alone is not evidence without a controller and a driver pod.

The only reader of the label. Everything else asks here, or for a subject in evaluation/node_upgrade.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from fleet.domain import labels
from fleet.domain.findings import Evidence
from fleet.domain.snapshot import NodeSnapshot, OperatorSnapshot, PodSnapshot

_HOSTS_OWN = frozenset({"pre-installed", "false"})
_DRIVER = "driver"


Phase = Literal["", "required", "in_progress", "failed", "done"]


class DriverUpgrade(msgspec.Struct, frozen=True, kw_only=True):
    """What the GPU Operator does about a node's driver. Without a phase there is no upgrade, whatever a stale label says."""

    phase: Phase = ""
    key: str = ""
    """The label that states it."""
    value: str = ""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return (Evidence("label", self.key, self.value),) if self.key else ()


def driver_upgrade(node: NodeSnapshot, pods: Sequence[PodSnapshot] | None, operator: OperatorSnapshot | None) -> DriverUpgrade:
    """Returns the state of the driver upgrade. A label where the driver is the host's own states none: nothing moves it on.

    The operator's label stays at pod-restart-required forever on Windows, under WSL2 and with driver.enabled=false
    (NVIDIA/gpu-operator#626, NVIDIA/k8s-device-plugin#332).
    """
    word = node.labels.get(labels.DRIVER_UPGRADE_STATE, "")
    phase = _phase(word)
    if phase and is_driver_managed(node, pods, operator) is not False:
        paused = "" if phase in ("in_progress", "failed") else _paused_key(node)
        if not paused:
            return DriverUpgrade(phase=phase, key=labels.DRIVER_UPGRADE_STATE, value=word)
    if key := _paused_key(node):
        return DriverUpgrade(phase="in_progress", key=key, value=labels.PAUSED_FOR_DRIVER_UPGRADE)
    return DriverUpgrade()


def _phase(word: str) -> Phase:
    if word in labels.UPGRADE_IN_PROGRESS:
        return "in_progress"
    phases: dict[str, Phase] = {
        labels.UPGRADE_PENDING: "required",
        labels.UPGRADE_FAILED: "failed",
        labels.UPGRADE_DONE: "done",
    }
    return phases.get(word, "")


def _paused_key(node: NodeSnapshot) -> str:
    """Returns the label by which the operator paused a part of the stack for an upgrade; empty for none."""
    paused = labels.PAUSED_FOR_DRIVER_UPGRADE
    if paused not in node.labels.values():
        return ""
    return next((key for key, value in node.labels.items() if value == paused and key.startswith(labels.GPU_DEPLOY_PREFIX)), "")


def is_driver_managed(node: NodeSnapshot, pods: Sequence[PodSnapshot] | None, operator: OperatorSnapshot | None) -> bool | None:
    """Returns whether the GPU Operator manages the node's driver; None where pods or the operator's objects were not read."""
    if any(pod.component == _DRIVER for pod in pods or ()):
        return True
    if node.labels.get(labels.GPU_DEPLOY_DRIVER) in _HOSTS_OWN or _cannot_run_drivers(node):
        return False
    if operator is None or pods is None:
        return None
    if operator.policies and not operator.drivers and all(policy.driver_enabled is False for policy in operator.policies):
        return False
    return any(daemonset.component == _DRIVER for daemonset in operator.daemonsets)


def _cannot_run_drivers(node: NodeSnapshot) -> bool:
    """Returns whether the node uses its host's driver: Windows and WSL2."""
    return node.node_info.operating_system == "windows" or node.node_info.is_wsl2
