"""Nodes whose GPUs another scheduler hands out in shares: a count only where something counts, and never "exclusive"."""

from __future__ import annotations

import json

import msgspec
import pytest

from fleet.domain import labels
from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.snapshot import NodeInfo, NodeSnapshot, PodSnapshot
from tests.builders import make_node, make_pod
from tests.domain.looks import look

GPU = "nvidia.com/gpu"
UUIDS = ("GPU-7fda2a6c-cc53-0183-88cf-c952e39ad6cc", "GPU-00552014-5c87-89ac-b1a6-7b53aa24b0ec")
HAMI = "".join(f"{uuid},4,24576,100,NVIDIA-NVIDIA GeForce RTX 3090,0,true:" for uuid in UUIDS)
HAMI_JSON = json.dumps(
    [
        {"id": uuid, "count": 4, "devmem": 24576, "devcore": 100, "type": "NVIDIA GeForce RTX 3090", "mode": "hami-core"}
        for uuid in UUIDS
    ]
)
VOLCANO_OLD = "".join(f"{uuid},4,24576,NVIDIA-RTX3090,true,hami-core:" for uuid in UUIDS)


def bare(capacity: dict[str, int], annotations: dict[str, str] | None = None, **more: object) -> NodeSnapshot:
    """A node without any label of GPU feature discovery."""
    node = make_node(gpus=0, gfd=False, capacity=capacity, **more)  # type: ignore[arg-type]
    return msgspec.structs.replace(node, annotations=annotations or {})


def shares(seen: NodeDevices) -> tuple[int | None, int | None, str | None, int | None]:
    return seen.physical, seen.slots.capacity, seen.sharing, seen.replicas


@pytest.mark.parametrize(
    ("key", "text", "resource"),
    [
        (labels.HAMI_REGISTER, HAMI, GPU),
        (labels.HAMI_REGISTER, HAMI_JSON, GPU),
        (labels.HAMI_REGISTER_OLD, HAMI, GPU),
        (labels.VOLCANO_REGISTER, HAMI, "volcano.sh/vgpu-number"),
        (labels.VOLCANO_REGISTER, VOLCANO_OLD, "volcano.sh/vgpu-number"),
        (labels.VOLCANO_REGISTER, HAMI_JSON, "volcano.sh/vgpu-number"),
    ],
)
def test_a_register_annotation_counts_gpus_and_their_shares(key: str, text: str, resource: str) -> None:
    seen = look(bare({resource: 8}, {key: text}))
    assert shares(seen) == (2, 8, None, 4)
    assert (seen.physical_source, seen.advertised, seen.advertised_gpus) == ("annotation", "full", 2)
    assert "nothing is shared" not in seen.isolation


def test_shares_of_an_unhealthy_gpu_are_missing() -> None:
    node = msgspec.structs.replace(bare({GPU: 8}, {labels.HAMI_REGISTER: HAMI}), allocatable={GPU: "4"})
    seen = look(node)
    assert (seen.physical, seen.advertised, seen.advertised_gpus) == (2, "partial", 1)


@pytest.mark.parametrize(
    "text", ["", "[", "[{}]", "[1]", "garbage", "GPU-x", "a,b,c,d,e,f,g:", f"{UUIDS[0]},-1,5,100,X,0,true:", "[]", '{"a":1}']
)
def test_an_annotation_that_cannot_be_read_counts_nothing(text: str) -> None:
    assert look(bare({GPU: 8}, {labels.HAMI_REGISTER: text})).physical_source != "annotation"


def test_an_annotation_left_by_a_plugin_that_has_gone_counts_nothing() -> None:
    gone = {labels.HAMI_REGISTER: HAMI, "hami.io/node-handshake": "Deleted_2026.11.30 07:07:33"}
    assert look(bare({GPU: 2}, gone)).physical_source == "capacity"


def test_gpus_with_different_numbers_of_shares_are_counted_and_their_slots_are_not_divided() -> None:
    text = f"{UUIDS[0]},10,81559,100,NVIDIA-H100,0,true:{UUIDS[1]},4,24576,100,NVIDIA-RTX 3090,0,true:"
    assert shares(look(bare({GPU: 14}, {labels.HAMI_REGISTER: text}))) == (2, 14, None, None)


@pytest.mark.parametrize(
    ("capacity", "physical"),
    [
        ({"tencent.com/vcuda-core": 400, "tencent.com/vcuda-memory": 240}, 4),
        ({"tencent.com/vcuda-core": 150, "tencent.com/vcuda-memory": 240}, None),
        ({"tke.cloud.tencent.com/qgpu-core": 200, "tke.cloud.tencent.com/qgpu-memory": 30}, 2),
        ({"aliyun.com/gpu-count": 2, "aliyun.com/gpu-mem": 30}, 2),
        ({"koordinator.sh/gpu-core": 800, "koordinator.sh/gpu-memory-ratio": 800}, 8),
        ({"elasticgpu.io/gpu-core": 100, "elasticgpu.io/gpu-memory": 15109}, 1),
        ({"nvidia.com/gpumem": 24576}, None),
        ({"volcano.sh/vgpu-memory": 24576}, None),
    ],
)
def test_a_node_with_only_another_schedulers_resources_is_a_gpu_node(capacity: dict[str, int], physical: int | None) -> None:
    node = bare(capacity)
    assert gpu_evidence(node)
    seen = look(node)
    assert (seen.vendor, seen.physical, seen.sharing) == ("nvidia", physical, None)
    assert {slots.name for slots in seen.resources if slots.capacity} <= {"aliyun.com/gpu-count"}
    assert seen.advertised == ("unknown" if physical is None else "full")
    assert "nothing is shared" not in seen.isolation


def test_gpus_that_are_handed_out_by_memory_and_compute_alone_have_no_number_of_slots() -> None:
    slots = look(bare({"tencent.com/vcuda-core": 400, "tencent.com/vcuda-memory": 240})).slots
    assert (slots.capacity, slots.allocatable, slots.requested, slots.free) == (None, None, None, None)


def test_whole_slots_beside_memory_and_compute_of_the_same_gpus_are_not_exclusive() -> None:
    seen = look(make_node(gpus=8, capacity={GPU: 8, "koordinator.sh/gpu-core": 800, "koordinator.sh/gpu-memory-ratio": 800}))
    assert (seen.physical, seen.slots.capacity, seen.sharing, seen.advertised) == (8, 8, None, "full")
    assert "nothing is shared" not in seen.isolation


def test_koordinators_shares_of_npus_make_no_gpu_node() -> None:
    assert not gpu_evidence(bare({"koordinator.sh/gpu-core": 800, "huawei.com/npu-core": 160}))


def test_memory_and_compute_at_zero_prove_no_gpu() -> None:
    assert not gpu_evidence(bare({"volcano.sh/vgpu-number": 0, "volcano.sh/vgpu-memory": 0, "tencent.com/vcuda-core": 0}))


def test_pods_that_hold_memory_leave_the_requested_slots_unknown() -> None:
    pod = make_pod("p", gpus=8, resource="aliyun.com/gpu-mem")
    seen = look(bare({"aliyun.com/gpu-count": 2, "aliyun.com/gpu-mem": 30}), pods=[pod])
    assert (seen.slots.requested, seen.slots.free) == (None, None)


def test_volcano_beside_gpu_feature_discovery_takes_the_place_of_the_usual_resource() -> None:
    seen = look(make_node(gpus=8, capacity={GPU: 0, "volcano.sh/vgpu-number": 80, "volcano.sh/vgpu-cores": 800}))
    assert shares(seen) == (8, 80, None, 10)
    assert not any(finding.rule == "nothing_advertised" for finding in seen.findings)
    assert seen.advertised == "full"


def test_nos_shares_beside_a_whole_gpu() -> None:
    node = make_node(gpus=2, capacity={GPU: 1, "nvidia.com/gpu-10gb": 4}, labels={labels.NOS_PARTITIONING: "mps"})
    seen = look(node)
    assert (seen.physical, seen.slots.capacity, seen.sharing) == (2, 5, "mps")
    assert not any(finding.rule in ("nothing_advertised", "fewer_slots_than_devices") for finding in seen.findings)


def fraction(name: str = "f") -> PodSnapshot:
    return msgspec.structs.replace(make_pod(name, gpus=0), gpu_share="gpu-fraction 0.5")


def test_pods_with_fractions_share_gpus_although_the_labels_say_none_is_shared() -> None:
    node = make_node(gpus=2, capacity={GPU: 2})
    seen = look(node, pods=[make_pod("reservation", gpus=1), fraction()])
    assert (seen.sharing, seen.replicas, seen.slots.requested, seen.slots.free) == (None, None, 1, 1)
    assert "nothing is shared" not in seen.isolation
    assert look(node, pods=[make_pod("whole", gpus=1)]).sharing == "exclusive"


def grouped(name: str, group: str, gpus: int = 0, key: str = labels.KAI_GROUP, **fields: object) -> PodSnapshot:
    pod = make_pod(name, gpus=gpus, labels={key: group}, **fields)
    return pod if gpus else msgspec.structs.replace(pod, gpu_share="gpu-fraction 0.5")


@pytest.mark.parametrize(
    ("pods", "free"),
    [
        ([grouped("r", "a", 1), grouped("f1", "a"), grouped("f2", "a")], 1),
        ([grouped("r", "a", 1), grouped("f", "a", key=labels.KAI_GROUP + "/a")], 1),
        ([grouped("r", "a", 1), grouped("f1", "a"), grouped("f2", "b")], None),
        ([grouped("r", "a", 1), grouped("r2", "b", 1), grouped("f1", "a"), grouped("f2", "b")], 0),
        ([grouped("f", "a")], None),
        ([make_pod("whole", gpus=1), grouped("f", "a")], None),
        ([grouped("r", "a", 1, phase="Succeeded"), grouped("f", "a")], None),
        ([grouped("f", "a", phase="Succeeded")], 2),
        ([fraction()], None),
        ([make_pod("r", gpus=1), fraction()], 1),
    ],
)
def test_a_fraction_without_its_reservation_pod_leaves_what_is_free_unknown(pods: list[PodSnapshot], free: int | None) -> None:
    """The pod of a fraction requests nothing: without the pod that reserves its GPU, the GPU looks free."""
    seen = look(make_node(gpus=2, capacity={GPU: 2}), pods=pods)
    assert (seen.slots.free, seen.slots.requested is None) == (free, free is None)


@pytest.mark.parametrize("slots", [1, 4, 10])
def test_a_jetson_has_one_integrated_gpu(slots: int) -> None:
    node = msgspec.structs.replace(bare({GPU: slots}), node_info=NodeInfo(kernel="5.15.148-tegra"))
    seen = look(node)
    assert (seen.physical, seen.physical_source, seen.slots.capacity) == (1, "kernel", slots)
    assert seen.sharing == ("exclusive" if slots == 1 else None)


def test_a_jetson_without_a_device_plugin_is_a_gpu_node() -> None:
    node = msgspec.structs.replace(bare({}), node_info=NodeInfo(kernel="5.10.216-tegra"))
    assert gpu_evidence(node)
    assert look(node).physical == 1


def test_slots_of_an_unlabelled_node_are_counted_as_gpus_only_while_nothing_speaks_of_sharing() -> None:
    assert look(bare({GPU: 8})).physical == 8
    assert look(bare({GPU: 8, "nvidia.com/gpumem": 81559})).physical is None
    assert look(bare({GPU: 8}, labels={"gpu": "on"})).physical is None
    plugin = msgspec.structs.replace(make_pod("plugin", gpus=0), owner_kind="DaemonSet", owner_name="hami-device-plugin")
    assert look(bare({GPU: 8}), pods=[plugin]).physical is None


@pytest.mark.parametrize(("slots", "physical"), [(8, 2), (4, 2), (12, 3), (32, 8), (10, None), (400, None)])
def test_an_annotation_that_lists_fewer_gpus_than_there_are_shares_for(slots: int, physical: int | None) -> None:
    assert look(bare({GPU: slots}, {labels.HAMI_REGISTER: HAMI})).physical == physical


def test_a_hint_of_sharing_changes_nothing_where_labels_and_slots_agree_that_none_is_shared() -> None:
    seen = look(make_node(gpus=8, labels={"gpu": "on"}))
    assert (seen.sharing, seen.replicas, seen.mode, seen.resources[0].kind) == ("exclusive", 1, "Full GPU", "gpu")


def test_fewer_shares_than_registered_are_shares_all_the_same() -> None:
    seen = look(bare({GPU: 4}, {labels.HAMI_REGISTER: HAMI}))
    assert (seen.physical, seen.sharing, seen.replicas, seen.mode) == (2, None, None, "Shared")
    assert "expect no isolation" in seen.isolation


@pytest.mark.parametrize("name", ["volcano.sh/gpu-number", "aliyun.com/gpu-count"])
def test_what_another_scheduler_counts_by_is_no_stale_resource(name: str) -> None:
    seen = look(bare({GPU: 4, name: 4}))
    assert seen.slots.capacity == 4, "the same GPUs, once"
    assert not [finding for finding in seen.findings if finding.rule == "renamed_twice"]


WSL2 = NodeInfo(kernel="6.6.87.2-microsoft-standard-WSL2", operating_system="linux")


@pytest.mark.parametrize(("slots", "wanted"), [(1, (1, 1, "exclusive", 1)), (8, (1, 8, None, 8))])
def test_under_wsl2_all_gpus_are_one_device_and_more_slots_its_shares(
    slots: int, wanted: tuple[int | None, int | None, str | None, int | None]
) -> None:
    seen = look(msgspec.structs.replace(bare({GPU: slots}), node_info=WSL2))
    assert shares(seen) == wanted
    assert seen.physical_source == "kernel"


def test_two_gpus_under_wsl2_are_one_slot_and_none_is_missing() -> None:
    node = msgspec.structs.replace(make_node(gpus=2, capacity={GPU: 1}), node_info=WSL2)
    seen = look(node)
    assert (seen.physical, seen.advertised) == (2, "full")
