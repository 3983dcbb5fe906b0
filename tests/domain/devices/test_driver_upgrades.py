"""A label that says a driver upgrade goes on, where something moves it and where nothing does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from fleet.domain.devices.driver_upgrades import driver_upgrade, is_driver_managed
from fleet.domain.snapshot import ClusterPolicySnapshot, DaemonSetSnapshot, NodeInfo, NodeSnapshot, OperatorSnapshot, PodSnapshot
from tests.builders import make_node, make_pod

ROOT = Path(__file__).parents[3]
STATE = "nvidia.com/gpu-driver-upgrade-state"
DRIVERS = DaemonSetSnapshot(namespace="gpu-operator", name="nvidia-driver-daemonset", component="driver")
MANAGED = OperatorSnapshot(policies=(ClusterPolicySnapshot(name="p", driver_enabled=True),), daemonsets=(DRIVERS,))
SWITCHED_OFF = OperatorSnapshot(policies=(ClusterPolicySnapshot(name="p", driver_enabled=False),), daemonsets=(DRIVERS,))
NO_DAEMONSET = OperatorSnapshot(policies=(ClusterPolicySnapshot(name="p", driver_enabled=True),))


def upgrade_state(node: NodeSnapshot, pods: Sequence[PodSnapshot] | None, operator: OperatorSnapshot | None) -> str:
    """The word of an upgrade in progress; empty for none."""
    upgrade = driver_upgrade(node, pods, operator)
    return upgrade.value if upgrade.phase == "in_progress" else ""


def node(
    state: str = "pod-restart-required", *, kernel: str = "6.8.0-64-generic", system: str = "linux", **more: str
) -> NodeSnapshot:
    info = NodeInfo(kernel=kernel, operating_system=system)
    return msgspec.structs.replace(make_node(labels={STATE: state, **more}), node_info=info)


@pytest.mark.parametrize("state", ["cordon-required", "drain-required", "pod-restart-required", "validation-required"])
def test_an_upgrade_of_a_managed_driver_is_in_progress(state: str) -> None:
    assert upgrade_state(node(state), (), MANAGED) == state


def test_an_upgrade_is_believed_while_pods_or_the_operator_were_not_read() -> None:
    assert upgrade_state(node(), None, MANAGED)
    assert upgrade_state(node(), (), None)
    assert is_driver_managed(node(), (), None) is None


@pytest.mark.parametrize("operator", [SWITCHED_OFF, NO_DAEMONSET, OperatorSnapshot()])
def test_a_label_that_no_driver_pod_can_move_is_no_upgrade(operator: OperatorSnapshot) -> None:
    assert upgrade_state(node(), (), operator) == ""


@pytest.mark.parametrize(
    "stuck",
    [
        node(kernel="5.15.90.1-microsoft-standard-WSL2"),
        node(kernel="6.6.87.2-Microsoft-standard-WSL2"),
        node(system="windows"),
        node(**{"nvidia.com/gpu.deploy.driver": "pre-installed"}),
        node(**{"nvidia.com/gpu.deploy.driver": "false"}),
    ],
)
def test_a_node_that_uses_its_hosts_driver_is_not_upgraded_though_others_are(stuck: NodeSnapshot) -> None:
    assert upgrade_state(stuck, (), MANAGED) == ""


def test_a_driver_pod_on_the_node_moves_the_upgrade_whatever_the_policy_says() -> None:
    pod = msgspec.structs.replace(make_pod("driver", gpus=0), component="driver")
    assert upgrade_state(node(), (pod,), SWITCHED_OFF) == "pod-restart-required"


@pytest.mark.parametrize("state", ["", "upgrade-done", "upgrade-required", "upgrade-failed", "garbage"])
def test_other_states_are_no_upgrade_in_progress(state: str) -> None:
    assert upgrade_state(node(state), (), MANAGED) == ""


def test_a_stack_paused_for_an_upgrade_is_one() -> None:
    paused = node("", **{"nvidia.com/gpu.deploy.device-plugin": "paused-for-driver-upgrade"})
    assert upgrade_state(paused, (), MANAGED) == "paused-for-driver-upgrade"


@pytest.mark.parametrize(
    ("word", "phase"), [("upgrade-required", "required"), ("upgrade-failed", "failed"), ("upgrade-done", "done")]
)
def test_each_state_counts_where_the_driver_is_managed_and_nowhere_else(word: str, phase: str) -> None:
    assert driver_upgrade(node(word), (), MANAGED).phase == phase
    assert driver_upgrade(node(word, system="windows"), (), MANAGED).phase == ""
    assert driver_upgrade(node(word), (), SWITCHED_OFF).phase == ""


def test_the_label_is_read_in_one_place() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "fleet/domain").rglob("*.py")
        if re.search(r"get\((labels\.)?DRIVER_UPGRADE_STATE|\[(labels\.)?DRIVER_UPGRADE_STATE", path.read_text())
    }
    assert readers == {"fleet/domain/devices/driver_upgrades.py"}
