"""What one slot of a really described node is, in every way of sharing."""

from __future__ import annotations

import pytest

from fleet.domain.placement.nodes import slot_memory, slot_mode
from tests.domain.placement.fleets import GPU, bare, real, slots


@pytest.mark.parametrize(
    ("node", "resource", "mode", "memory"),
    [
        ({}, GPU, "full", 81559),
        ({"sharing": "time-slicing", "replicas": 4, "product": "Tesla-T4", "gpus": 1}, GPU, "time-sliced", 15360),
        ({"sharing": "time-slicing", "replicas": 4, "renamed": True}, f"{GPU}.shared", "time-sliced", 81559),
        ({"sharing": "mps", "replicas": 8, "product": "NVIDIA-L40S", "gpus": 2}, GPU, "mps", 46068 // 8),
        ({"mig": "1g.5gb", "product": "NVIDIA-A100-SXM4-40GB"}, GPU, "mig", 4864),
        ({"mig": {"1g.10gb": 16, "3g.40gb": 8}}, "nvidia.com/mig-1g.10gb", "mig", 9984),
    ],
)
def test_slots_are_what_the_node_says(node: dict[str, object], resource: str, mode: str, memory: int) -> None:
    made = real(**node)
    offered = made.slots(resource)
    assert offered is not None
    assert slot_mode(made, offered) == mode
    assert slot_memory(made, offered) == memory


@pytest.mark.parametrize(
    ("declared", "offered", "mode"),
    [
        ({}, slots(), "full"),
        ({}, slots(replicas=None), "full"),
        ({"sharing": "time-slicing"}, slots(replicas=4), "time-sliced"),
        ({"sharing": "mps"}, slots(replicas=4), "mps"),
        ({"partitioning": "mig-single"}, slots(profile="1g.5gb"), "mig"),
        ({"partitioning": "mig-single", "sharing": "time-slicing"}, slots(profile="1g.5gb", replicas=2), "mig-shared"),
        ({"sharing": "time-slicing"}, slots("nvidia.com/mig-1g.10gb", replicas=2), "mig-shared"),
        ({"partitioning": "mig-mixed"}, slots(), "full"),
    ],
)
def test_the_mode_of_a_plain_name_follows_from_replicas_and_partitioning(
    declared: dict[str, object], offered: object, mode: str
) -> None:
    node = bare("n1", offered, **declared)
    assert slot_mode(node, node.resources[0]) == mode


@pytest.mark.parametrize(
    ("declared", "offered"),
    [
        ({"partitioning": None}, slots()),
        ({"sharing": None}, slots(replicas=None)),
        ({"sharing": None}, slots("nvidia.com/gpu.shared", replicas=4)),
        ({"sharing": None}, slots("nvidia.com/mig-1g.10gb", replicas=None)),
        ({}, slots("nvidia.com/A10-24Q", kind="vgpu")),
    ],
)
def test_without_a_source_the_mode_is_unknown_and_never_a_full_gpu(declared: dict[str, object], offered: object) -> None:
    node = bare("n1", offered, **declared)
    assert slot_mode(node, node.resources[0]) is None
    assert slot_memory(node, node.resources[0]) is None
