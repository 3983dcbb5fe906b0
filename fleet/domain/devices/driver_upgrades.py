"""Driver upgrades in progress: the label alone is not evidence without a controller and a driver pod."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.snapshot import NodeSnapshot, OperatorSnapshot, PodSnapshot

_HOSTS_OWN = frozenset({"pre-installed", "false"})
_DRIVER = "driver"


def upgrade_state(node: NodeSnapshot, pods: Sequence[PodSnapshot] | None, operator: OperatorSnapshot | None) -> str:
    """Returns the state of the upgrade in progress, as the operator's labels name it; empty for none.

    The operator's label stays at pod-restart-required forever on Windows, under WSL2 and with driver.enabled=false
    (NVIDIA/gpu-operator#626, NVIDIA/k8s-device-plugin#332).
    """
    state = node.labels.get(labels.DRIVER_UPGRADE_STATE, "")
    if state in labels.UPGRADE_IN_PROGRESS and is_driver_managed(node, pods, operator) is not False:
        return state
    paused = labels.PAUSED_FOR_DRIVER_UPGRADE
    if paused in node.labels.values() and any(
        value == paused and key.startswith(labels.GPU_DEPLOY_PREFIX) for key, value in node.labels.items()
    ):
        return paused
    return ""


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
