"""A node's slots drawn: the cross is on the GPU that is lost, and a GPU's slots are filled by its own pods."""

from __future__ import annotations

from typing import Any

from fleet.domain.devices.drawing import Drawn
from fleet.domain.devices.slots import ResourceSlots
from fleet.selectors.nodes.drawings import place_gpus
from fleet.selectors.nodes.gpu_rows import GpuRow, GpuTable, MigRow, PodOn, Reading


def a_row(index: int, *pods: str, gone: bool = False, migs: tuple[MigRow, ...] = ()) -> GpuRow:
    return GpuRow(
        index=str(index), uuid=f"GPU-{index:08x}", product="H100", memory_mib=None, readings={}, at=None, silent=gone, gone=gone,
        xids=(), pods=tuple(PodOn("inference", pod) for pod in pods), unclaimed=False, migs=migs, findings=(),
    )  # fmt: skip


def an_instance(*pods: str, profile: str = "3g.40gb") -> MigRow:
    on = tuple(PodOn("inference", pod) for pod in pods)
    return MigRow(profile=profile, instance="1", fb_used=Reading(None), fb_total=None, engine=Reading(None), pods=on)


def drawn(rows: list[GpuRow], **resource: Any) -> Any:
    facts = {
        "name": "nvidia.com/gpu",
        "kind": "gpu",
        "profile": "",
        "replicas": 1,
        "capacity": len(rows),
        "requested": 0,
        **resource,
    }
    facts.setdefault("allocatable", facts["capacity"])
    node = Drawn(product="NVIDIA-H100-80GB-HBM3", physical=len(rows), resources=(ResourceSlots(**facts),))
    table = GpuTable(rows=tuple(rows), why_none="", off=(), cards=(), newest=None, sources=(), measured=True)
    (result,) = place_gpus(node, table)
    return result.drawn


def cells(drawing: Any) -> list[str]:
    return [cell.state for cell in drawing.cells]


def test_a_lost_gpu_is_crossed_in_its_place_though_no_pod_runs_and_the_device_plugin_still_counts_it() -> None:
    rows = [a_row(index, gone=index == 0) for index in range(4)]
    assert cells(drawn(rows)) == ["broken", "free", "free", "free"]
    late = drawn([a_row(index, gone=index == 2) for index in range(4)], allocatable=3)
    assert cells(late) == ["free", "free", "broken", "free"]
    assert late.numbered


def test_numbers_name_no_gpu_where_it_is_unknown_which_ones_are_requested() -> None:
    drawing = drawn([a_row(index, gone=index == 1) for index in range(4)], allocatable=3, requested=2)
    assert cells(drawing) == ["requested", "broken", "requested", "free"]
    assert not drawing.numbered


def test_shares_are_filled_on_the_gpu_of_their_pods() -> None:
    rows = [a_row(0), a_row(1, "a", "b"), a_row(2, "c")]
    drawing = drawn(rows, kind="shared", replicas=4, capacity=12, requested=3)
    assert [sum(share.state == "requested" for share in card.shares) for card in drawing.cards] == [0, 2, 1]
    assert [card.number for card in drawing.cards] == ["0", "1", "2"]


def test_shares_are_only_counted_where_fewer_pods_are_named_than_hold_them() -> None:
    drawing = drawn([a_row(0), a_row(1, "a")], kind="shared", replicas=4, capacity=8, requested=3)
    assert [sum(share.state == "requested" for share in card.shares) for card in drawing.cards] == [3, 0]
    assert not drawing.numbered


def test_slices_are_filled_by_their_pods_and_those_of_a_lost_gpu_are_broken() -> None:
    rows = [
        a_row(0, migs=(an_instance(), an_instance("a"))),
        a_row(1, migs=(an_instance("b"), an_instance()), gone=True),
    ]
    drawing = drawn(rows, kind="mig", name="nvidia.com/mig-3g.40gb", profile="3g.40gb", capacity=4, requested=2)
    used = [[part.state for part in card.slices if part.state != "unused"] for card in drawing.cards]
    assert used == [["free", "requested"], ["broken", "broken"]]
    assert [card.is_broken for card in drawing.cards] == [False, True]
