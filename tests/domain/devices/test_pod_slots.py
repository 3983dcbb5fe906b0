"""Slots of one pod that claims GPUs through DRA."""

from __future__ import annotations

from fleet.domain.devices.pod_slots import pod_slots
from fleet.domain.snapshot.dra import CapacityPolicy, DraCapacity
from tests.builders import make_allocation, make_dra_device, make_pod

EIGHT = {"shares": DraCapacity("8", CapacityPolicy(default="1", minimum="1", step="1", has_range=True))}


def test_a_pod_without_claims_has_what_it_requests() -> None:
    assert pod_slots(make_pod("p", gpus=4), None, ()) == 4
    assert pod_slots(make_pod("p", gpus=0), None, ()) == 0


def test_each_device_of_its_claims_is_a_slot() -> None:
    devices = [make_dra_device(index) for index in range(3)]
    namespace = make_allocation(devices[0]).namespace
    pod = make_pod("p", gpus=0, claims=("claim-1", "net"), namespace=namespace)
    held = [make_allocation(devices[0]), make_allocation(devices[1]), make_allocation(devices[2], claim="of-another")]
    assert pod_slots(pod, held, devices) == 2
    assert pod_slots(pod, [*held, make_allocation(devices[2], admin_access=True)], devices) == 2
    assert pod_slots(pod, (), devices) == 0
    assert pod_slots(pod, None, devices) is None, "claims were not read"
    assert pod_slots(pod, held, devices[1:]) == 2, "a GPU that is no longer published is still held"


def test_a_network_card_is_no_slot() -> None:
    card = make_dra_device(0, driver="dra.net", type="nic")
    pod = make_pod("p", gpus=0, claims=("claim-1",), namespace=make_allocation(card).namespace)
    assert pod_slots(pod, [make_allocation(card)], [card]) == 0


def test_a_share_counts_as_the_default_shares_that_it_takes() -> None:
    device = make_dra_device(0, shareable=True, capacity=EIGHT)
    pod = make_pod("p", gpus=0, claims=("claim-1",), namespace=make_allocation(device).namespace)
    for consumed, slots in (({"shares": "1"}, 1), ({"shares": "3"}, 3), ({}, 1)):
        held = make_allocation(device, share_id="s", consumed=consumed)
        assert pod_slots(pod, [held], [device]) == slots
