"""Cards as telemetry names them, and what they do to the count of physical GPUs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fleet.domain.devices.inspection import NodeDevices, NodeInputs, inspect
from fleet.domain.devices.measured_gpus import MeasuredGpu, learn_uuids, see
from fleet.domain.snapshot import DeviceAllocation, NodeSnapshot
from fleet.domain.snapshot.telemetry import DeviceSample, PodRef
from tests.builders import H100, make_dra_device, make_node, make_pod

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
UUIDS = tuple(f"GPU-{number}" for number in range(8))


def sample(uuid: str, **fields: Any) -> DeviceSample:
    whole = DeviceSample(
        node_name="gpu-node-1", uuid=uuid, at=AT, model="NVIDIA H100 80GB HBM3", pci_bus_id=f"0000:{uuid[-1]}8:00.0",
        values={"gpu_temp": 40.0},
    )  # fmt: skip
    return structs.replace(whole, **fields)


def cards(count: int) -> tuple[MeasuredGpu, ...]:
    return see([sample(uuid) for uuid in UUIDS[:count]])


def judged(node: NodeSnapshot, seen: tuple[MeasuredGpu, ...], **more: Any) -> NodeDevices:
    fields: dict[str, Any] = {"pods": (), "plugin": None, "devices": None, "allocations": None}
    return inspect(NodeInputs(node=node, **{**fields, **more}, measured_gpus=seen))


# --- which cards a node has ---


def test_a_card_that_is_no_longer_measured_is_lost_not_gone() -> None:
    before = [sample(uuid) for uuid in UUIDS]
    now = [*(sample(uuid) for uuid in UUIDS[:7]), sample(UUIDS[7], values={"xid": 79.0})]
    result = see(now, before, UUIDS)
    assert [card.uuid for card in result] == list(UUIDS)
    assert [card.lost for card in result] == [False] * 7 + [True]


def test_a_card_that_vanished_keeps_its_name_and_place() -> None:
    result = see([sample(uuid) for uuid in UUIDS[:7]], [sample(uuid) for uuid in UUIDS], UUIDS)
    assert (result[7].uuid, result[7].lost, result[7].product, result[7].pci_bus_id) == ("GPU-7", True, H100, "0000:78:00.0")


def test_a_card_replaced_while_others_are_lost_makes_no_ninth() -> None:
    """Two of eight are gone, and one new is there: eight, of which one is missing."""
    result = see([sample(uuid) for uuid in (*UUIDS[:6], "GPU-9")], [sample(uuid) for uuid in UUIDS], UUIDS)
    assert len(result) == 8
    assert [card.uuid for card in result if card.lost] == ["GPU-6"]


def test_a_board_swapped_under_its_node_shows_its_cards_one_by_one() -> None:
    known: tuple[str, ...] = UUIDS
    for count in (3, 6, 8):
        known = learn_uuids(known, [f"GPU-new-{number}" for number in range(count)])
        assert len(known) == 8
    assert known == tuple(f"GPU-new-{number}" for number in range(8))


def test_while_no_exporter_answers_the_last_names_stand() -> None:
    assert [card.uuid for card in see([], [sample(uuid) for uuid in UUIDS], UUIDS)] == list(UUIDS)


def test_a_model_outside_the_catalogue_keeps_its_name() -> None:
    (card,) = see([sample("GPU-0", model="NVIDIA  X9000")])
    assert (card.product, card.memory_mib) == ("NVIDIA-X9000", None)


@pytest.mark.parametrize(
    ("known", "present", "expected", "learned"),
    [
        ((), ("a", "b"), None, ("a", "b")),
        (("a", "b"), ("a",), None, ("a", "b")),
        (("a", "b"), ("a", "c"), None, ("a", "c")),
        (("a", "b"), ("a", "b", "c"), None, ("a", "b", "c")),
        (("a", "b"), (), None, ("a", "b")),
        (("a", "b"), ("a",), 1, ("a",)),
    ],
)
def test_what_is_learned(
    known: tuple[str, ...], present: tuple[str, ...], expected: int | None, learned: tuple[str, ...]
) -> None:
    assert learn_uuids(known, present, expected) == learned


@pytest.mark.slow
@given(st.lists(st.sets(st.sampled_from("abcdef"), max_size=6), max_size=6))
def test_no_look_makes_a_node_poorer(looks: list[set[str]]) -> None:
    known: tuple[str, ...] = ()
    for look in looks:
        after = learn_uuids(known, look)
        assert len(after) >= len(known)
        assert look <= set(after)
        known = after


# --- how many physical GPUs ---


def test_as_many_as_the_labels_say_are_named() -> None:
    result = judged(make_node(gpus=8), cards(8))
    assert (result.physical, result.physical_source) == (8, "dcgm")
    assert [card.uuid for card in result.cards] == list(UUIDS)
    assert {(card.source, card.product, card.memory_mib) for card in result.cards} == {("dcgm", H100, 81559)}
    assert result.findings == ()


def test_telemetry_that_sees_fewer_lowers_nothing_and_says_so() -> None:
    result = judged(make_node(gpus=8), cards(7))
    assert (result.physical, result.physical_source) == (8, "label")
    assert len(result.cards) == 8
    assert sum(not card.uuid for card in result.cards) == 1
    assert [finding.rule for finding in result.findings] == ["telemetry_sees_fewer"]


def test_a_lost_card_that_is_remembered_is_counted() -> None:
    seen = see([sample(uuid) for uuid in UUIDS[:7]], [sample(uuid) for uuid in UUIDS], UUIDS)
    result = judged(make_node(gpus=8), seen)
    assert (result.physical, result.physical_source) == (8, "dcgm")
    assert result.findings == ()


def test_more_than_the_labels_say_are_of_another_product() -> None:
    result = judged(make_node(gpus=4, capacity={"nvidia.com/gpu": 4}), cards(6))
    assert (result.physical, result.physical_source) == (6, "dcgm")


def test_what_was_taken_for_granted_gives_way() -> None:
    shares = make_node(gpus=0, gfd=False, capacity={"nvidia.com/gpu": 4})
    assert judged(shares, ()).physical == 4
    assert judged(shares, cards(1)).physical == 1


def test_an_invalid_mig_layout_is_counted_all_the_same() -> None:
    node = make_node(
        gpus=8,
        labels={"nvidia.com/gpu.product": f"{H100}-MIG-INVALID", "nvidia.com/gpu.count": "0"},
        capacity={"nvidia.com/gpu": None},
    )
    assert judged(node, ()).physical is None
    assert judged(node, cards(8)).physical == 8


def test_resource_slices_go_before() -> None:
    device = make_dra_device()
    result = judged(make_node(gpus=0, gfd=False), cards(8), devices=[device])
    assert (result.physical, result.physical_source) == (1, "resource_slice")


def test_another_vendors_count_stands() -> None:
    node = make_node(gpus=0, gfd=False, capacity={"amd.com/gpu": 8})
    assert judged(node, cards(7)).physical == judged(node, ()).physical


@given(st.integers(0, 8), st.integers(0, 8))
def test_telemetry_never_lowers_a_count_that_labels_tell(labelled: int, seen: int) -> None:
    node = make_node(gpus=labelled)
    without, with_it = judged(node, ()).physical, judged(node, cards(seen)).physical
    assert without is None or (with_it is not None and with_it >= without)


# --- MIG ---


def test_instances_get_their_cards() -> None:
    node = make_node(gpus=1, mig={"1g.10gb": 2})
    pod = make_pod("a", devices=(DeviceAllocation(resource="nvidia.com/mig-1g.10gb", device_id="MIG-1"),))
    ref = PodRef(pod.namespace, pod.name)
    seen = see([
        sample("GPU-0", gi_id="9", profile="1g.10gb", pods=(ref,)),
        sample("GPU-0", gi_id="13", profile="1g.10gb"),
    ])  # fmt: skip
    result = judged(node, seen, pods=(pod,))
    assert [(mig.parent_uuid, mig.gi_id, mig.uuid, mig.source) for mig in result.mig_devices] == [
        ("GPU-0", "9", "MIG-1", "dcgm"), ("GPU-0", "13", "", "dcgm"),
    ]  # fmt: skip
    assert result.cards[0].mig_enabled


def test_instances_that_do_not_fit_the_offer_are_only_counted() -> None:
    seen = see([sample("GPU-0", gi_id="9", profile="1g.10gb")])
    result = judged(make_node(gpus=1, mig={"1g.10gb": 2}), seen)
    assert [(mig_device.parent_uuid, mig_device.gi_id) for mig_device in result.mig_devices] == [("", ""), ("", "")]
