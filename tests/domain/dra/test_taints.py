"""DeviceTaintRules of v1alpha3 by class and selector, and claims that as many pods use as may."""

from __future__ import annotations

import msgspec
import pytest

from fleet.collectors import resource_claims
from fleet.domain.dra.pods import CLAIM_IN_USE, ClusterDevices, PodDevices
from fleet.domain.dra.resource_pools import DraNode, Inventory
from fleet.domain.dra.taints import is_blocked, join
from fleet.domain.snapshot import DraDevice, Taint
from fleet.domain.snapshot.dra import DeviceClass, DeviceTaintRule, DraAttribute, DraClaim, ResourceSlices

DEVICE = DraDevice(driver="d", pool="p", name="x", node_name="n", attributes={"kind": DraAttribute("string", "big")})
CLASSES = (
    DeviceClass(name="big", selectors=("device.attributes['d'].kind == 'big'",)),
    DeviceClass(name="small", selectors=("device.attributes['d'].kind == 'small'",)),
    DeviceClass(name="odd", selectors=("device.attributes['d'].nope == 1",)),
    DeviceClass(name="new", selectors=("",)),
)


@pytest.mark.parametrize(
    ("device_class", "selectors", "tainted"),
    [
        ("big", (), True),
        ("small", (), False),
        ("", ("device.attributes['d'].kind == 'big'",), True),
        ("", ("device.attributes['d'].kind == 'small'",), False),
        ("big", ("device.driver == 'other'",), False),
        ("gone", (), False),
        ("odd", (), False),
        ("new", (), True),
    ],
)
def test_a_rule_by_class_and_selector(device_class: str, selectors: tuple[str, ...], tainted: bool) -> None:
    rule = DeviceTaintRule(name="r", taint=Taint("k", "", "NoSchedule"), device_class=device_class, selectors=selectors)
    (joined,) = join([DEVICE], [rule], CLASSES)
    assert is_blocked(joined) is tainted


def test_where_classes_are_not_known_the_device_is_not_offered() -> None:
    rule = DeviceTaintRule(name="r", taint=Taint("k", "", "NoSchedule"), device_class="small")
    assert is_blocked(join([DEVICE], [rule])[0])


@pytest.mark.parametrize(("pods", "reason"), [(255, ""), (256, CLAIM_IN_USE)])
def test_a_claim_is_reserved_for_256_pods_at_most(pods: int, reason: str) -> None:
    devices = ClusterDevices(Inventory(ResourceSlices()), (), ())
    claim = DraClaim(namespace="n", name="c", allocated=True, reserved_for=pods)
    assert devices.check(PodDevices(claims=(claim,)), DraNode(name="n")).reason == reason


@pytest.mark.parametrize("allocated", [True, False])
def test_a_claim_that_is_being_deleted_is_given_to_no_further_pod(allocated: bool) -> None:
    devices = ClusterDevices(Inventory(ResourceSlices(devices=(DEVICE,))), CLASSES, ())
    metadata = {"name": "c", "namespace": "n", "deletionTimestamp": "2026-12-01T00:00:00Z", "finalizers": ["x"]}
    status = {"allocation": {"devices": {"results": []}}} if allocated else {}
    wire = msgspec.convert({"metadata": metadata, "spec": {}, "status": status}, resource_claims.ClaimWire)
    claim = resource_claims.parse_claim(wire)
    answer = devices.check(PodDevices(claims=(claim,)), DraNode(name="n"))
    assert (answer.chosen, answer.reason) == (None, 'resourceclaim "c" is being deleted')
