"""A label that says a driver upgrade goes on, where something moves it and where nothing does."""

from __future__ import annotations

import msgspec
import pytest

from fleet.domain.devices.driver_upgrades import is_driver_managed, upgrade_state
from fleet.domain.snapshot import ClusterPolicySnapshot, DaemonSetSnapshot, NodeInfo, NodeSnapshot, OperatorSnapshot
from tests.builders import make_node, make_pod

STATE = "nvidia.com/gpu-driver-upgrade-state"
DRIVERS = DaemonSetSnapshot(namespace="gpu-operator", name="nvidia-driver-daemonset", component="driver")
MANAGED = OperatorSnapshot(policies=(ClusterPolicySnapshot(name="p", driver_enabled=True),), daemonsets=(DRIVERS,))
SWITCHED_OFF = OperatorSnapshot(policies=(ClusterPolicySnapshot(name="p", driver_enabled=False),), daemonsets=(DRIVERS,))
NO_DAEMONSET = OperatorSnapshot(policies=(ClusterPolicySnapshot(name="p", driver_enabled=True),))


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
