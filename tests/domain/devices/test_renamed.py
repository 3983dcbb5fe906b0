"""GPUs that a device plugin advertises under custom names: `nvidia.com/t4` instead of `nvidia.com/gpu`."""

from __future__ import annotations

import pytest

from fleet.domain.devices.inspection import NodeDevices
from tests.builders import make_node, make_plugin_config
from tests.domain.looks import ids, look


def t4s(count: int = 2, *, sharing: str = "none", replicas: int = 1, **capacity: int | None) -> NodeDevices:
    """A node whose labels count so many T4; `capacity` by the name behind `nvidia.com/`."""
    fields = {f"nvidia.com/{name}": amount for name, amount in capacity.items()}
    return look(make_node(gpus=count, product="Tesla-T4", sharing=sharing, replicas=replicas, capacity=fields))


def numbers(seen: NodeDevices) -> dict[str, tuple[int | None, int | None]]:
    """Capacity and prediction by name."""
    return {slots.name.removeprefix("nvidia.com/"): (slots.capacity, slots.predicted) for slots in seen.resources}


@pytest.mark.parametrize("stale", [{"gpu": 0}, {"gpu": None}, {"gpu": 0, "gpu.shared": 0}])
def test_the_usual_name_at_zero_beside_the_new_one_misses_nothing(stale: dict[str, int | None]) -> None:
    seen = t4s(**stale, t4=2)
    assert (seen.physical, seen.advertised, seen.mode, seen.reason) == (2, "full", "Full GPU", "")
    assert numbers(seen) == {"t4": (2, 2)}


def test_a_card_missing_under_its_new_name_is_missed_there() -> None:
    seen = t4s(gpu=0, t4=1)
    assert (seen.physical, seen.advertised, numbers(seen)) == (2, "partial", {"t4": (1, 2)})
    assert seen.reason == "1 slot advertised, but the detected devices make 2: 1 GPU unhealthy or missing (nvidia.com/t4)."


def test_shares_under_another_name() -> None:
    seen = t4s(gpu=0, t4=8, sharing="time-slicing", replicas=4)
    assert (seen.physical, seen.advertised, seen.mode, numbers(seen)) == (2, "full", "Time-sliced ×4", {"t4": (8, 8)})
    node = make_node(gpus=2, product="Tesla-T4", gfd=False, capacity={"nvidia.com/gpu": 0, "nvidia.com/t4": 8})
    by_config = look(node, plugin=make_plugin_config(sharing="mps", replicas=4))
    assert (by_config.physical, by_config.mode) == (2, "MPS ×4")


def test_more_slots_under_new_names_than_the_labels_count_are_another_product_or_shares() -> None:
    seen = t4s(gpu=None, t4=2, a100=1)
    assert (seen.physical, seen.advertised) == (None, "unknown")
    (finding,) = [item for item in seen.findings if item.rule == "unexplained_slots"]
    assert "3 slots are advertised, but the labelled product explains only 2" in finding.text
    assert "(nvidia.com/a100, nvidia.com/t4)" in finding.text
    assert "unexplained_slots" in ids(t4s(gpu=0, t4=8))
    assert "unexplained_slots" in ids(t4s(gpu=2, a100=1))


def test_names_that_make_up_the_count_between_them_are_all_of_it() -> None:
    seen = t4s(3, gpu=1, t4=2)
    assert (seen.physical, seen.advertised, seen.reason, seen.slots.capacity) == (3, "full", "", 3)


def test_what_is_missing_between_two_names_is_missed_under_the_usual_one() -> None:
    seen = t4s(4, gpu=1, t4=2)
    assert (seen.physical, seen.advertised, numbers(seen)["gpu"]) == (4, "partial", (1, 2))


def test_between_two_new_names_the_missing_gpu_is_unknown() -> None:
    seen = t4s(4, gpu=0, t4=2, a100=1)
    assert (seen.physical, seen.advertised) == (4, "unknown")
    assert "3 slots do not follow from 4 devices" in seen.reason


def test_a_number_that_no_machine_has_cards_for_counts_none() -> None:
    """Schedulers of fractions advertise memory or cores under arbitrary names."""
    seen = t4s(gpu=2, slice=100)
    assert (seen.physical, numbers(seen)["gpu"], "unexplained_slots" in ids(seen)) == (2, (2, 2), False)
    assert numbers(t4s(gpu=0, slice=100))["gpu"] == (0, 2)


def test_the_usual_name_at_zero_beside_cards_for_machines() -> None:
    seen = t4s(gpu=0, GA102GL_A10=2)
    assert (seen.advertised, seen.mode) == ("full", "Passthrough to VMs")
