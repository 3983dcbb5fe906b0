"""Cards that MIG cuts: single and mixed strategy, shared instances, layouts that are invalid, partial or left behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import make_node, make_pod
from tests.domain.looks import A100, ids, look, slots


def test_mig_single_divides_instances_by_what_a_card_holds() -> None:
    seen = look(make_node(mig="1g.5gb", product=A100))
    assert (seen.physical, seen.partitioning, seen.sharing, seen.mode) == (8, "mig-single", "exclusive", "MIG 7×1g.5gb")
    assert (seen.product, seen.gpu_memory_mib) == (A100, 40960)
    assert seen.mig_instances == {"1g.5gb": 56}
    assert (seen.resources[0].kind, seen.resources[0].profile, seen.slots.capacity) == ("mig", "1g.5gb", 56)
    assert len(seen.mig_devices) == 56
    assert {device.memory_mib for device in seen.mig_devices} == {4864}
    assert "own memory and faults" in seen.isolation


def test_mig_single_with_a_stale_profile_at_zero() -> None:
    node = make_node(mig="2g.10gb", product=A100, capacity={"nvidia.com/mig-1g.5gb": 0})
    seen = look(node)
    assert (seen.physical, seen.slots.capacity) == (8, 24)
    assert [resource.name for resource in seen.resources] == ["nvidia.com/gpu"]
    assert ids(seen) == {"stale_resource"}
    assert seen.reason == ""


def test_mig_single_partial_layout_is_a_lower_bound() -> None:
    labels = {"nvidia.com/gpu.count": "23", "nvidia.com/mig.config": "custom"}
    seen = look(make_node(mig="2g.10gb", product=A100, labels=labels, capacity={"nvidia.com/gpu": 23}))
    assert (seen.physical, seen.physical_is_lower_bound) == (8, True)
    assert seen.mig_instances == {"2g.10gb": 23}


def test_mig_single_partial_layout_takes_the_clouds_count_where_it_suits() -> None:
    labels = {
        "nvidia.com/gpu.count": "8",
        "nvidia.com/mig.config": "half",
        "karpenter.k8s.aws/instance-gpu-count": "8",
    }
    seen = look(make_node(mig="3g.20gb", product=A100, labels=labels, capacity={"nvidia.com/gpu": 8}))
    assert (seen.physical, seen.physical_source, seen.physical_is_lower_bound) == (8, "cloud", False)


def test_mig_single_of_an_unknown_product_is_a_lower_bound() -> None:
    seen = look(make_node(gpus=2, mig="1g.5gb", product="NVIDIA-X900"))
    assert (seen.physical, seen.physical_is_lower_bound, seen.gpu_memory_mib) == (2, True, None)


def test_mig_single_and_time_slicing() -> None:
    seen = look(make_node(mig="1g.5gb", product=A100, sharing="time-slicing", replicas=2))
    assert (seen.physical, seen.partitioning, seen.sharing, seen.replicas) == (8, "mig-single", "time-slicing", 2)
    assert (seen.mode, seen.slots.capacity, seen.resources[0].kind) == ("MIG + time-sliced ×2", 112, "mig-shared")
    assert seen.product == A100


def test_mig_mixed() -> None:
    seen = look(make_node(mig={"1g.10gb": 16, "2g.20gb": 8, "3g.40gb": 8}))
    assert (seen.physical, seen.partitioning, seen.sharing, seen.replicas) == (8, "mig-mixed", "exclusive", 1)
    assert seen.mig_instances == {"1g.10gb": 16, "2g.20gb": 8, "3g.40gb": 8}
    assert seen.mode == "MIG 2×1g.10gb + 1×2g.20gb + 1×3g.40gb"
    assert (seen.slots.capacity, seen.gpu_memory_mib, seen.advertised) == (32, 81559, "full")
    assert "nvidia.com/gpu" not in {resource.name for resource in seen.resources}


def test_mig_mixed_with_whole_cards_beside() -> None:
    node = make_node(mig={"1g.10gb": 28}, capacity={"nvidia.com/gpu": 4}, labels={"nvidia.com/gpu.replicas": "1"})
    seen = look(node, [make_pod("a", gpus=2), make_pod("b", gpus=5, resource="nvidia.com/mig-1g.10gb")])
    assert (seen.physical, seen.slots.capacity, seen.mode) == (8, 32, "MIG 7×1g.10gb on 4 of 8 GPUs")
    assert {resource.name: (resource.requested, resource.free) for resource in seen.resources} == {
        "nvidia.com/gpu": (2, 2),
        "nvidia.com/mig-1g.10gb": (5, 23),
    }
    assert {resource.predicted for resource in seen.resources} == {4, 28}


def test_mig_mixed_shares_of_one_profile_only() -> None:
    node = make_node(
        mig={"1g.10gb": 14, "3g.40gb": 4},
        labels={"nvidia.com/mig-1g.10gb.replicas": "2", "nvidia.com/mig-1g.10gb.sharing-strategy": "time-slicing"},
        capacity={"nvidia.com/mig-1g.10gb": 28},
    )
    seen = look(node)
    assert (seen.mode, seen.sharing, seen.replicas) == ("MIG + time-sliced", "time-slicing", None)
    assert {resource.profile: resource.replicas for resource in seen.resources} == {"1g.10gb": 2, "3g.40gb": 1}
    assert seen.mig_instances == {"1g.10gb": 14, "3g.40gb": 4}


def test_mig_mixed_with_media_extensions_in_label_form() -> None:
    seen = look(make_node(mig={"1g.10gb.me": 8, "1g.10gb": 48}))
    assert seen.mig_instances == {"1g.10gb": 48, "1g.10gb+me": 8}
    assert seen.resources[1].profile == "1g.10gb+me"
    assert (seen.advertised, seen.physical) == ("full", 8)


def test_mig_invalid_is_a_config_error_and_no_count() -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-INVALID",
        "nvidia.com/gpu.count": "0",
        "nvidia.com/gpu.replicas": "0",
        "nvidia.com/gpu.sharing-strategy": "",
        "nvidia.com/gpu.memory": "0",
    }
    seen = look(make_node(labels=labels, capacity={"nvidia.com/gpu": 0}))
    assert (seen.physical, seen.partitioning, seen.mig_instances) == (None, None, None)
    assert (seen.product, seen.gpu_memory_mib) == ("NVIDIA-A100-SXM4-80GB", 81920)
    assert "mig_invalid" in ids(seen)
    with_hint = look(make_node(labels={**labels, "karpenter.k8s.aws/instance-gpu-count": "8"}, capacity={"nvidia.com/gpu": 0}))
    assert (with_hint.physical, with_hint.physical_source) == (8, "cloud")


def test_mig_mode_under_the_none_strategy_is_offered_as_full_cards() -> None:
    seen = look(make_node(labels={"nvidia.com/gpu.replicas": "0", "nvidia.com/mig.strategy": None}))
    assert (seen.physical, seen.partitioning, seen.mode, seen.replicas) == (8, "none", "Full GPU", 1)
    assert "mig_mode_not_used" in ids(seen)


def test_mig_mode_without_instances() -> None:
    labels = {"nvidia.com/gpu.replicas": "0", "nvidia.com/mig.strategy": "mixed"}
    seen = look(make_node(labels=labels, capacity={"nvidia.com/gpu": 0}))
    assert (seen.physical, seen.mode, seen.advertised) == (8, "MIG without instances", "none")


@pytest.mark.parametrize(
    ("state", "rule"), [("pending", "mig_change"), ("rebooting", "mig_change"), ("failed", "mig_config_failed")]
)
def test_mig_layout_wanted_and_actual(state: str, rule: str) -> None:
    labels = {"nvidia.com/mig.config": "all-2g.10gb", "nvidia.com/mig.config.state": state}
    seen = look(make_node(mig="1g.5gb", product=A100, labels=labels))
    assert (seen.mig_desired, seen.mig_state) == ("all-2g.10gb", state)
    assert (seen.mig_instances, seen.physical) == ({"1g.5gb": 56}, 8)
    assert rule in ids(seen)


def test_labels_of_one_strategy_resources_of_the_other() -> None:
    seen = look(make_node(mig="1g.5gb", product=A100, capacity={"nvidia.com/gpu": 0, "nvidia.com/mig-1g.5gb": 56}))
    assert (seen.partitioning, seen.physical, seen.mig_instances) == ("mig-mixed", 8, {"1g.5gb": 56})
    assert "labels_disagree_with_resources" in ids(seen)


def test_single_labels_tell_an_instances_memory_also_where_the_resources_are_mixed() -> None:
    seen = look(make_node(mig="1g.5gb", product=A100, capacity={"nvidia.com/gpu": 0, "nvidia.com/mig-1g.5gb": 56}))
    assert seen.gpu_memory_mib == 40960


def test_whole_cards_beside_mig_outvote_a_label_that_lags() -> None:
    seen = look(make_node(mig={"1g.10gb": 28}, capacity={"nvidia.com/gpu": 4}))  # gpu.replicas still says 0
    assert (seen.physical, seen.replicas, seen.sharing, seen.advertised) == (8, 1, "exclusive", "full")


def test_more_whole_cards_than_the_instances_leave() -> None:
    seen = look(make_node(mig={"1g.10gb": 28}, capacity={"nvidia.com/gpu": 5}))
    assert (seen.physical, seen.advertised) == (8, "unknown")
    assert "leave at most 4 of 8 labelled GPUs whole" in seen.reason


def test_a_profile_left_behind_with_its_old_number_is_not_counted() -> None:
    stale = "nvidia.com/mig-2g.20gb"
    seen = look(make_node(mig={"1g.10gb": 56}, capacity={stale: 3}, allocatable={stale: 0}))
    assert (slots(seen), seen.mig_instances, seen.advertised) == ((56, 56, 0, 56), {"1g.10gb": 56}, "full")
    assert ids(seen) == {"stale_resource"}
    phantoms = look(make_node(mig={"1g.10gb": 56}, capacity={stale: 3}))
    assert (phantoms.slots.capacity, phantoms.mig_instances, ids(phantoms)) == (56, {"1g.10gb": 56}, {"phantom_slots"})


def test_a_profile_without_labels_that_still_fits_is_counted_and_doubted() -> None:
    offered = look(make_node(mig={"1g.10gb": 49}, capacity={"nvidia.com/mig-2g.20gb": 3}))
    assert (offered.slots.capacity, offered.mig_instances, offered.advertised) == (52, {"1g.10gb": 49}, "unknown")
    assert "labels_disagree_with_resources" in ids(offered)


@pytest.mark.parametrize(
    ("built", "stale"),
    [
        ({"mig": "1g.5gb", "product": A100}, "nvidia.com/mig-1g.5gb"),
        ({}, "nvidia.com/mig-1g.10gb"),
        ({"mig": {"1g.10gb": 56}}, "nvidia.com/gpu"),
    ],
)
@pytest.mark.parametrize(("allocatable", "rule"), [(0, "stale_resource"), (8, "phantom_slots")])
def test_an_old_layout_beside_the_new_one_is_not_counted(built: dict[str, Any], stale: str, allocatable: int, rule: str) -> None:
    alone = look(make_node(**built))
    seen = look(make_node(**built, capacity={stale: 8}, allocatable={stale: allocatable}))
    assert ids(seen) == {rule}
    for field in ("physical", "partitioning", "sharing", "replicas", "mode", "mig_instances", "slots", "advertised"):
        assert getattr(seen, field) == getattr(alone, field), field


def test_labels_that_have_not_seen_the_new_layout_yet() -> None:
    seen = look(make_node(capacity={"nvidia.com/gpu": 0, "nvidia.com/mig-1g.10gb": 56}))
    assert (seen.physical, seen.partitioning, seen.slots.capacity) == (8, "mig-mixed", 56)
    assert "labels_disagree_with_resources" in ids(seen)


def test_pods_that_hold_instances_that_are_gone() -> None:
    gone = "nvidia.com/mig-2g.20gb"
    seen = look(make_node(mig={"1g.10gb": 56}, capacity={gone: 0}), [make_pod(gpus=2, resource=gone)])
    assert {resource.name: resource.free for resource in seen.resources} == {"nvidia.com/mig-1g.10gb": 56, gone: -2}
    assert slots(seen) == (56, 56, 0, 56)
    assert "2 slots requested, 0 allocatable" in seen.reason


def test_a_layout_that_differs_between_gpus_is_shown_for_the_whole_node() -> None:
    seen = look(make_node(gpus=2, product="NVIDIA-A100-SXM4-40GB", mig={"1g.5gb": 9, "2g.10gb": 2}))
    assert (seen.physical, seen.mode) == (2, "MIG 9×1g.5gb + 2×2g.10gb in all")


def test_shares_of_instances_under_their_new_name_invent_no_row_for_the_old_one() -> None:
    seen = look(make_node(mig={"1g.10gb": 28}, sharing="time-slicing", replicas=2, renamed=True), plugin=None)
    assert [(slots.name, slots.capacity) for slots in seen.resources] == [("nvidia.com/mig-1g.10gb.shared", 56)]
    assert (seen.advertised, seen.mode) == ("full", "MIG + time-sliced ×2")
