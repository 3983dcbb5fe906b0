"""Cards, slots and resources that do not add up."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.evaluation.subject import NodeHistory
from fleet.domain.findings import RuleResult, Severity, Status
from fleet.domain.lint.rules import (
    device_taints,
    double_stack,
    driver_upgrade_failed,
    expected_not_met,
    kubelet,
    mig_layout,
    mixed_products,
    overcommitted,
    slots_mismatch,
    stale_resources,
)
from fleet.domain.snapshot import Taint
from tests.builders import H100, make_dra_device, make_node, make_plugin_config, make_pod
from tests.domain.lint.subjects import ask, keys

EIGHT = NodeHistory(expected=8, expected_source="learned")


def whole(result: RuleResult) -> None:
    """What every finding must have for a reader."""
    for finding in result.findings:
        assert finding.rule == result.rule
        assert finding.evidence
        assert finding.remedy
        assert finding.text.endswith((".", ")."))


@pytest.mark.parametrize(
    ("node", "key", "severity"),
    [
        (make_node(unhealthy=1), "unhealthy_devices:nvidia.com/gpu", Severity.CRITICAL),
        (make_node(allocatable={"nvidia.com/gpu": 0}), "nothing_advertised:nvidia.com/gpu", Severity.CRITICAL),
        (make_node(capacity={"nvidia.com/gpu": 7}), "fewer_slots_than_devices:nvidia.com/gpu", Severity.CRITICAL),
        (make_node(replicas=4, sharing="time-slicing", capacity={"nvidia.com/gpu": 8}),
         "capacity_disagrees_with_labels:nvidia.com/gpu", Severity.WARNING),
    ],
)  # fmt: skip
def test_slots_that_do_not_follow_from_the_devices(node: Any, key: str, severity: Severity) -> None:
    result = ask(slots_mismatch.RULE, node=node)
    assert key in keys(result)
    finding = result.findings[keys(result).index(key)]
    assert (finding.severity, finding.rung, finding.subject) == (severity, "resources_advertised", "resource")
    assert result.status == (Status.FAIL if severity is Severity.CRITICAL else Status.WARN)
    whole(result)


@pytest.mark.parametrize("sharing", [{}, {"sharing": "time-slicing", "replicas": 4}, {"mig": "1g.10gb"}])
def test_slots_that_follow_pass(sharing: dict[str, Any]) -> None:
    assert ask(slots_mismatch.RULE, node=make_node(**sharing)).status == Status.PASS


def test_slots_that_only_the_plugin_counts_are_unknown() -> None:
    assert ask(slots_mismatch.RULE, node=make_node(gfd=False)).status == Status.UNKNOWN
    assert ask(slots_mismatch.RULE, unread=["device_plugin_config"]).status == Status.UNKNOWN


def test_maintenance_makes_it_information_only() -> None:
    upgrading = {"nvidia.com/gpu-driver-upgrade-state": "drain-required"}
    result = ask(slots_mismatch.RULE, node=make_node(labels=upgrading, allocatable={"nvidia.com/gpu": 0}))
    assert {finding.severity for finding in result.findings} == {Severity.INFO}
    assert result.status == Status.WARN


def test_fewer_cards_than_expected() -> None:
    result = ask(expected_not_met.RULE, node=make_node(gpus=6), history=EIGHT)
    assert result.status == Status.FAIL
    assert result.findings[0].text == "2 GPUs of 8 missing: only 6 detected."
    assert result.findings[0].rung == "gpu_present"
    whole(result)


def test_fewer_cards_than_the_cloud_sold_is_one_finding_not_two() -> None:
    ordered = make_node(gpus=6, labels={"karpenter.k8s.aws/instance-gpu-count": "8"})
    for history in (NodeHistory(), EIGHT):
        assert keys(ask(expected_not_met.RULE, node=ordered, history=history)) == [""]


def test_as_many_cards_as_expected_pass() -> None:
    assert ask(expected_not_met.RULE, history=EIGHT).status == Status.PASS


@pytest.mark.parametrize(
    "given",
    [
        {"history": NodeHistory()},
        {"node": make_node(gfd=False), "history": EIGHT},
        {"node": make_node(gfd=False, gpus=0, labels={"karpenter.k8s.aws/instance-gpu-count": "8"}), "history": EIGHT},
        {"history": EIGHT, "unread": ["resource_slices"]},
    ],
)
def test_gpus_without_a_count_or_an_expectation_are_unknown(given: dict[str, Any]) -> None:
    assert ask(expected_not_met.RULE, **given).status == Status.UNKNOWN


def test_pods_hold_more_than_is_left() -> None:
    pods = [make_pod("a", gpus=8)]
    result = ask(overcommitted.RULE, node=make_node(unhealthy=2), pods=pods)
    assert (result.status, len(result.findings)) == (Status.WARN, 1)
    whole(result)
    assert ask(overcommitted.RULE, pods=pods).status == Status.PASS
    assert ask(overcommitted.RULE, pods=pods, unread=["pods"]).status == Status.UNKNOWN


def test_resources_left_behind() -> None:
    stale = ask(stale_resources.RULE, node=make_node(capacity={"nvidia.com/mig-1g.5gb": 0}))
    assert [finding.severity for finding in stale.findings] == [Severity.INFO]
    phantom = ask(stale_resources.RULE, node=make_node(capacity={"nvidia.com/mig-1g.5gb": 7}))
    assert [finding.severity for finding in phantom.findings] == [Severity.WARNING]
    whole(phantom)
    assert ask(stale_resources.RULE).status == Status.PASS
    assert ask(stale_resources.RULE, node=make_node(gfd=False, capacity={"nvidia.com/mig-1g.5gb": 7})).status == Status.UNKNOWN


def test_two_products_in_one_node() -> None:
    by_excess = ask(mixed_products.RULE, node=make_node(gpus=4, capacity={"nvidia.com/gpu": 8}))
    assert (by_excess.status, len(by_excess.findings)) == (Status.WARN, 1)
    dra = [make_dra_device(0), make_dra_device(1, product="NVIDIA A10G")]
    by_slices = ask(mixed_products.RULE, node=make_node(gpus=0), dra=dra)
    assert "A10G" in by_slices.findings[0].text
    whole(by_excess)
    whole(by_slices)
    assert ask(mixed_products.RULE).status == Status.PASS
    assert ask(mixed_products.RULE, node=make_node(gfd=False)).status == Status.UNKNOWN


def test_mig_layouts() -> None:
    failed = {"nvidia.com/mig.config": "all-1g.10gb", "nvidia.com/mig.config.state": "failed"}
    result = ask(mig_layout.RULE, node=make_node(mig="1g.10gb", labels=failed))
    assert (result.status, keys(result)) == (Status.FAIL, ["mig_config_failed"])
    whole(result)
    invalid = {"nvidia.com/gpu.product": f"{H100}-MIG-INVALID", "nvidia.com/gpu.count": "0", "nvidia.com/mig.capable": "true"}
    assert "mig_invalid" in keys(ask(mig_layout.RULE, node=make_node(labels=invalid, capacity={"nvidia.com/gpu": 0})))
    assert ask(mig_layout.RULE, node=make_node(mig="1g.10gb")).status == Status.PASS
    assert ask(mig_layout.RULE).status == Status.NOT_APPLICABLE
    assert ask(mig_layout.RULE, node=make_node(gfd=False)).status == Status.UNKNOWN


def test_device_plugin_beside_dra() -> None:
    cards = [make_dra_device(number) for number in range(8)]
    both = ask(double_stack.RULE, dra=cards)
    assert (both.status, keys(both)) == (Status.WARN, ["device_plugin_and_dra:nvidia.com/gpu"])
    whole(both)
    assert ask(double_stack.RULE, node=make_node(gpus=0), dra=cards).status == Status.PASS
    assert ask(double_stack.RULE).status == Status.NOT_APPLICABLE
    assert ask(double_stack.RULE, dra=cards, unread=["resource_slices"]).status == Status.UNKNOWN


def test_devices_that_dra_taints() -> None:
    taint = Taint("gpu.nvidia.com/xid", "79", "NoSchedule")
    cards = [make_dra_device(0), make_dra_device(1, taints=(taint,))]
    result = ask(device_taints.RULE, node=make_node(gpus=0), dra=cards)
    assert (result.status, keys(result)) == (Status.WARN, ["gpu.nvidia.com/gpu-1"])
    assert "xid=79" in result.findings[0].text
    whole(result)
    informing = [make_dra_device(0, taints=(Taint("gpu.nvidia.com/unmonitored", "", "None"),))]
    assert ask(device_taints.RULE, node=make_node(gpus=0), dra=informing).status == Status.PASS
    other_layout = Taint("gpu.amd.com/memory-partition-conflict", "", "NoExecute")
    cut = [make_dra_device(0, driver="gpu.amd.com", type="amdgpu-partition", taints=(other_layout,))]
    assert ask(device_taints.RULE, node=make_node(gpus=0), dra=cut).status == Status.PASS
    assert ask(device_taints.RULE).status == Status.NOT_APPLICABLE
    assert ask(device_taints.RULE, dra=cards, unread=["resource_slices"]).status == Status.UNKNOWN


def test_a_driver_upgrade_that_failed() -> None:
    state = "nvidia.com/gpu-driver-upgrade-state"
    driver = (make_pod("driver", gpus=0, component="driver"),)
    result = ask(driver_upgrade_failed.RULE, node=make_node(labels={state: "upgrade-failed"}), pods=driver)
    assert (result.status, result.findings[0].rung) == (Status.FAIL, "driver_loaded")
    whole(result)
    assert ask(driver_upgrade_failed.RULE, node=make_node(labels={state: "upgrade-done"}), pods=driver).status == Status.PASS
    unmanaged = ask(driver_upgrade_failed.RULE, node=make_node(labels={state: "upgrade-failed"}))
    assert unmanaged.status == Status.NOT_APPLICABLE, "no driver pod: the label is stale"
    assert ask(driver_upgrade_failed.RULE).status == Status.NOT_APPLICABLE


def test_a_kubelet_that_is_silent() -> None:
    result = ask(kubelet.RULE, node=make_node(ready="Unknown"))
    assert (result.status, result.findings[0].rung) == (Status.FAIL, "kubelet_ready")
    assert "gpu-node-1" in result.findings[0].remedy
    whole(result)
    assert ask(kubelet.RULE).status == Status.PASS
    assert ask(kubelet.RULE, node=make_node(ready=None)).status == Status.UNKNOWN


def test_a_configuration_in_force_is_no_mismatch() -> None:
    plugin = make_plugin_config(sharing="time-slicing", replicas=4)
    assert ask(slots_mismatch.RULE, node=make_node(sharing="time-slicing", replicas=4), plugin=plugin).status == Status.PASS
