"""Properties of every node, also of generated ones."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.devices.inspection import NodeDevices, NodeInputs, inspect
from fleet.domain.snapshot import Condition, DevicePluginConfigs, DraAllocation, DraDevice, NodeSnapshot, PodSnapshot, Taint
from tests.builders import NODE, make_container, make_node, make_plugin_config, make_pod, previous_of

KNOWN_LABELS = [
    "nvidia.com/gpu.product",
    "nvidia.com/gpu.count",
    "nvidia.com/gpu.replicas",
    "nvidia.com/gpu.memory",
    "nvidia.com/gpu.sharing-strategy",
    "nvidia.com/gpu.present",
    "nvidia.com/mig.strategy",
    "nvidia.com/mig.config",
    "nvidia.com/mig.config.state",
    "nvidia.com/mig-1g.10gb.count",
    "nvidia.com/mig-1g.10gb.replicas",
    "nvidia.com/mig-3g.40gb.me.count",
    "nvidia.com/device-plugin.config",
    "nvidia.com/gpu-driver-upgrade-state",
    "nvidia.com/gpu.deploy.device-plugin",
    "nvidia.com/vgpu.present",
    "feature.node.kubernetes.io/pci-10de.present",
    "cloud.google.com/gke-accelerator",
    "cloud.google.com/gke-accelerator-count",
    "cloud.google.com/gke-gpu-partition-size",
    "cloud.google.com/gke-gpu-sharing-strategy",
    "cloud.google.com/gke-max-shared-clients-per-gpu",
    "karpenter.k8s.aws/instance-gpu-count",
    "karpenter.k8s.aws/instance-gpu-name",
    "amd.com/gpu.vram",
    "amd.com/gpu.compute-memory-partition",
    "beta.amd.com/gpu.family.AI",
    "gpu.intel.com/device.count",
]
KNOWN_VALUES = [
    "",
    "0",
    "1",
    "2",
    "4",
    "7",
    "8",
    "56",
    "true",
    "false",
    "none",
    "time-slicing",
    "mps",
    "single",
    "mixed",
    "pending",
    "failed",
    "success",
    "1g.5gb",
    "all-1g.5gb",
    "CPX_NPS4",
    "191G",
    "t4",
    "nvidia-l4",
    "default",
    "paused-for-driver-upgrade",
    "Tesla-T4-SHARED",
    "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb",
    "NVIDIA-A100-SXM4-40GB-MIG-INVALID",
    "NVIDIA-H100-80GB-HBM3",
]
RESOURCES = [
    "nvidia.com/gpu",
    "nvidia.com/gpu.shared",
    "nvidia.com/mig-1g.10gb",
    "nvidia.com/mig-1g.10gb.shared",
    "nvidia.com/mig-nonsense",
    "nvidia.com/h100",
    "nvidia.com/GA102GL_A10",
    "nvidia.com/NVIDIA_A10-12Q",
    "amd.com/gpu",
    "amd.com/cpx_nps4",
    "gpu.intel.com/i915",
    "habana.ai/gaudi",
    "cpu",
]

names = st.one_of(st.sampled_from(RESOURCES), st.builds("nvidia.com/{}".format, st.text(max_size=8)), st.text(max_size=8))
labels = st.dictionaries(
    st.one_of(st.sampled_from(KNOWN_LABELS), st.text(max_size=12)),
    st.one_of(st.sampled_from(KNOWN_VALUES), st.text(max_size=12), st.integers().map(str)),
    max_size=14,
)
quantities = st.one_of(
    st.integers(0, 64).map(str), st.sampled_from(["1k", "8Gi", "500m", "1e3", "x", "", "1E", "-1"]), st.text(max_size=6)
)
resources = st.dictionaries(names, quantities, max_size=5)
pods = st.lists(
    st.builds(
        lambda name, node, phase, requests, init, sidecar: make_pod(
            name, node=node, phase=phase, containers=[make_container(requests=requests, init=init, sidecar=sidecar)]
        ),
        st.text(max_size=5),
        st.sampled_from([NODE, ""]),
        st.sampled_from(["Running", "Pending", "Succeeded", "Failed", ""]),
        resources,
        st.booleans(),
        st.booleans(),
    ),
    max_size=4,
)
dra_devices = st.builds(
    DraDevice,
    driver=st.sampled_from(["gpu.nvidia.com", "compute-domain.nvidia.com", "gpu.amd.com", "gpu.example.com", "x"]),
    pool=st.sampled_from([NODE, "other"]),
    name=st.one_of(st.sampled_from(["gpu-0", "gpu-1", "gpu-0-mig-1g10gb-19-0", "gpu-vfio-0"]), st.text(max_size=6)),
    node_name=st.sampled_from([NODE, "", "other"]),
    type=st.sampled_from(["gpu", "mig", "vfio", "channel", "", "new", "amdgpu", "amdgpu-partition"]),
    pci_bus_id=st.sampled_from(["", "0000:01:00.0", "0000:02:00.0"]),
    uuid=st.sampled_from(["", "GPU-a", "GPU-b", "MIG-a"]),
    parent_uuid=st.sampled_from(["", "GPU-a", "GPU-c"]),
    product=st.one_of(st.just("NVIDIA H100 80GB HBM3"), st.text(max_size=8)),
    profile=st.one_of(st.just("1g.10gb"), st.text(max_size=5)),
    memory_bytes=st.one_of(st.none(), st.integers(0, 10**15)),
    cuda_version=st.text(max_size=5),
    taints=st.lists(st.builds(Taint, st.text(max_size=3), effect=st.sampled_from(["NoSchedule", "None"])), max_size=1).map(tuple),
)
allocations = st.builds(
    DraAllocation,
    namespace=st.just("a"),
    claim=st.text(max_size=3),
    driver=st.sampled_from(["gpu.nvidia.com", "x"]),
    pool=st.sampled_from([NODE, "other"]),
    device=st.sampled_from(["gpu-0", "gpu-1", "gpu-9", "gpu-0-mig-1g10gb-19-0"]),
    admin_access=st.booleans(),
)
plugins = st.one_of(
    st.none(),
    st.just(DevicePluginConfigs()),
    st.builds(
        lambda sharing, replicas, rename, mig, resource: make_plugin_config(
            sharing=sharing, replicas=replicas, rename_by_default=rename, mig_strategy=mig, resource=resource
        ),
        st.sampled_from(["", "time-slicing", "mps"]),
        st.integers(-1, 9),
        st.booleans(),
        st.sampled_from(["", "none", "single", "mixed"]),
        st.sampled_from(RESOURCES),
    ),
)
nodes = st.builds(
    lambda row, capacity, allocatable, ready: NodeSnapshot(
        name=NODE,
        uid="u",
        labels=row,
        capacity=capacity,
        allocatable=capacity if allocatable is None else allocatable,
        conditions=(Condition(type="Ready", status=ready),),
    ),
    labels,
    resources,
    st.one_of(st.none(), resources),
    st.sampled_from(["True", "False", "Unknown", ""]),
)
given_all = given(
    node=nodes,
    its_pods=st.one_of(st.none(), pods),
    plugin=plugins,
    devices=st.one_of(st.none(), st.lists(dra_devices, max_size=5)),
    claims=st.one_of(st.none(), st.lists(allocations, max_size=4)),
)


def look(
    node: NodeSnapshot,
    its_pods: list[PodSnapshot] | None,
    plugin: DevicePluginConfigs | None,
    devices: list[DraDevice] | None,
    claims: list[DraAllocation] | None,
) -> NodeDevices:
    return inspect(NodeInputs(node=node, pods=its_pods, plugin=plugin, devices=devices, allocations=claims))


@pytest.mark.slow
@settings(max_examples=100)
@given_all
def test_never_raises_and_always_answers_the_same(
    node: NodeSnapshot,
    its_pods: list[PodSnapshot] | None,
    plugin: DevicePluginConfigs | None,
    devices: list[DraDevice] | None,
    claims: list[DraAllocation] | None,
) -> None:
    first = look(node, its_pods, plugin, devices, claims)
    assert first == look(node, its_pods, plugin, devices, claims)
    assert msgspec.json.decode(msgspec.json.encode(first), type=NodeDevices) == first
    inspect(NodeInputs(node=node, pods=its_pods, plugin=plugin, devices=devices, allocations=claims, previous=previous_of(first)))
    gpu_evidence(node, devices or ())


@pytest.mark.slow
@settings(max_examples=100)
@given_all
def test_free_is_allocatable_minus_requested_and_negative_is_reported(
    node: NodeSnapshot,
    its_pods: list[PodSnapshot] | None,
    plugin: DevicePluginConfigs | None,
    devices: list[DraDevice] | None,
    claims: list[DraAllocation] | None,
) -> None:
    seen = look(node, its_pods, plugin, devices, claims)
    for counted in (seen.slots, *seen.resources):
        known = counted.allocatable is not None and counted.requested is not None
        assert (counted.free is None) is not known
        if known:
            by_dra = devices and any(slots.kind.startswith("dra-") for slots in seen.resources)
            left = counted.allocatable - counted.requested
            if by_dra:
                # The allocator decides, compared exactly in domain/dra/test_worlds.py: of a pool that names a device twice, or no
                # node, the scheduler takes nothing; a held device with a taint is not allocatable.
                assert counted.free <= counted.allocatable
            elif counted is seen.slots:
                assert max(0, left) <= counted.free <= counted.allocatable  # one resource's deficit takes nothing from another
            else:
                assert counted.free == left
            if counted.free < 0:
                assert any(finding.rule == "requested_exceeds_allocatable" for finding in seen.findings)
                assert seen.reason
    names = [counted.name for counted in seen.resources]
    assert len(names) == len(set(names))


@pytest.mark.slow
@settings(max_examples=100)
@given_all
def test_what_was_not_read_is_unknown_and_never_zero(
    node: NodeSnapshot,
    its_pods: list[PodSnapshot] | None,
    plugin: DevicePluginConfigs | None,
    devices: list[DraDevice] | None,
    claims: list[DraAllocation] | None,
) -> None:
    seen = look(node, None, plugin, (), claims)
    assert (seen.slots.requested, seen.slots.free) == (None, None)
    assert {counted.requested for counted in seen.resources} <= {None}
    assert any(finding.rule == "pods_unread" for finding in seen.findings)
    unclaimed = look(node, its_pods, plugin, devices, None)
    assert {counted.requested for counted in unclaimed.resources if counted.kind.startswith("dra")} <= {None}


@pytest.mark.slow
@settings(max_examples=100)
@given_all
def test_gpus_and_instances_match_their_counts(
    node: NodeSnapshot,
    its_pods: list[PodSnapshot] | None,
    plugin: DevicePluginConfigs | None,
    devices: list[DraDevice] | None,
    claims: list[DraAllocation] | None,
) -> None:
    seen = look(node, its_pods, plugin, devices, claims)
    if seen.physical is None:
        assert seen.physical_source == ""
        assert seen.cards == ()
    elif seen.physical <= 1024:
        assert len(seen.cards) == seen.physical
    if seen.mig_instances is None:
        assert all(device.uuid for device in seen.mig_devices)  # some may be known where their number is not
    elif sum(seen.mig_instances.values()) <= 1024:
        counts: dict[str, int] = {}
        for device in seen.mig_devices:
            counts[device.profile] = counts.get(device.profile, 0) + 1
        assert counts == {profile: count for profile, count in seen.mig_instances.items() if count}
    assert seen.partitioning in (None, "none", "mig-single", "mig-mixed")
    assert seen.sharing in (None, "exclusive", "time-slicing", "mps")
    assert seen.advertised in ("full", "partial", "none", "unknown")
    assert len(seen.mode) <= 120
    for text in (seen.family, seen.driver_version, seen.cuda_version, *(device.profile for device in seen.mig_devices)):
        assert len(text) <= 60
    for number in (seen.gpu_memory_mib, seen.physical, *(counted.predicted for counted in seen.resources)):
        assert number is None or 0 <= number <= 1_000_000


@pytest.mark.slow
@given(
    gpus=st.integers(1, 16),
    replicas=st.integers(2, 48),
    sharing=st.sampled_from(["time-slicing", "mps"]),
    renamed=st.booleans(),
    gfd=st.booleans(),
    config=st.booleans(),
)
def test_physical_never_counts_replicas(gpus: int, replicas: int, sharing: str, renamed: bool, gfd: bool, config: bool) -> None:
    plugin = DevicePluginConfigs()
    if config or not gfd:
        plugin = make_plugin_config(sharing=sharing, replicas=replicas, rename_by_default=renamed)
    node = make_node(gpus=gpus, sharing=sharing, replicas=replicas, renamed=renamed, gfd=gfd)
    seen = inspect(NodeInputs(node=node, pods=(), plugin=plugin, devices=(), allocations=()))
    assert (seen.physical, seen.slots.capacity, seen.replicas, seen.sharing) == (gpus, gpus * replicas, replicas, sharing)
    assert not seen.physical_is_lower_bound


@pytest.mark.slow
@given(
    gpus=st.integers(1, 16),
    replicas=st.integers(1, 8),
    profile=st.sampled_from(["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"]),
)
def test_physical_never_counts_instances(gpus: int, replicas: int, profile: str) -> None:
    sharing = "time-slicing" if replicas > 1 else "none"
    node = make_node(gpus=gpus, product="NVIDIA-A100-SXM4-40GB", mig=profile, sharing=sharing, replicas=replicas)
    seen = inspect(NodeInputs(node=node, pods=(), plugin=None, devices=(), allocations=()))
    assert (seen.physical, seen.partitioning, seen.replicas) == (gpus, "mig-single", replicas)
    mixed = make_node(gpus=gpus, mig={"1g.10gb": gpus * 7}, sharing=sharing, replicas=replicas)
    seen = inspect(NodeInputs(node=mixed, pods=(), plugin=None, devices=(), allocations=()))
    assert (seen.physical, seen.mig_instances, seen.replicas) == (gpus, {"1g.10gb": gpus * 7}, replicas)
    assert seen.slots.capacity == gpus * 7 * replicas
