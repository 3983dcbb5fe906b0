"""Classes over pools of DRA: their selectors, evaluated over every device of the pool, let in the class's own and no other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest

from fleet.collectors import device_classes, resource_slices
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.classes.requirements import ClassInPool, class_in_pool, label_keys
from fleet.domain.classes.stale import kept_placement, selected_outside, with_earlier
from fleet.domain.classes.workload import ClassSpec, problems
from fleet.domain.devices.inspection import NodeInputs, inspect
from fleet.domain.devices.sources.gfd import label_form
from fleet.domain.dra.pods import ClusterDevices
from fleet.domain.dra.resource_pools import Inventory
from fleet.domain.dra.selectors import meets
from fleet.domain.label_selectors import parse
from fleet.domain.manifests.dra import class_claim
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.pods import placement_digest
from fleet.domain.manifests.render import manifest
from fleet.domain.placement.device_room import with_device_room
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.nodes import placement_node
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import PoolSelector
from tests.builders import make_allocation, make_node, with_pools
from tests.domain.manifests.test_admission import admitted_pod, refusals

Raw = dict[str, Any]
POOL = PoolSpec(slug="dra", selector=PoolSelector(labels=parse("pool=dra")))


def gpu(
    name: str, product: str, memory: str, *, attribute: str = "productName", kind: str = "gpu", more: Raw | None = None
) -> Raw:
    return {
        "name": name,
        "attributes": {attribute: {"string": product}, "type": {"string": kind}, "uuid": {"string": f"GPU-{name}"}},
        "capacity": {"memory": {"value": memory}},
        **(more or {}),
    }


def shared(name: str, memory: int, shares: int) -> Raw:
    """A GPU in shares: a claim may say how much of the memory it takes."""
    policy = {"default": f"{memory // shares}Gi", "validRange": {"min": "1Gi", "step": "1Gi"}}
    device = gpu(name, "NVIDIA H100 80GB HBM3", f"{memory}Gi", more={"allowMultipleAllocations": True})
    device["capacity"]["memory"]["requestPolicy"] = policy
    device["capacity"]["shares"] = {"value": str(shares), "requestPolicy": {"default": "1"}}
    return device


def mig(name: str, profile: str, memory: str) -> Raw:
    device = gpu(name, "NVIDIA H100 80GB HBM3", memory, kind="mig")
    device["attributes"] |= {"profile": {"string": profile}, "parentUUID": {"string": f"GPU-{name.split('-mig')[0]}"}}
    return device


def amd_part(name: str, parent: str, memory: str) -> Raw:
    device = gpu(name, "AMD_Instinct_MI300X_OAM", memory, kind="amdgpu-partition")
    device["attributes"] |= {
        "partitionProfile": {"string": "cpx_nps4"},
        "resource.kubernetes.io/pciBusID": {"string": parent},
    }
    return device


H100, L40S = "NVIDIA H100 80GB HBM3", "NVIDIA L40S"
NVIDIA = (
    "gpu.nvidia.com",
    [
        [gpu("gpu-0", H100, "80Gi"), gpu("gpu-1", H100, "80Gi"), gpu("gpu-2", L40S, "45Gi")],
        [gpu("gpu-0", L40S, "45Gi"), {"name": "gpu-1", "attributes": {"type": {"string": "gpu"}}}],
        [
            mig("gpu-0-mig-1g10gb-19-0", "1g.10gb", "9984Mi"),
            mig("gpu-0-mig-3g40gb-9-4", "3g.40gb", "40448Mi"),
            gpu("gpu-1", H100, "80Gi"),
        ],
    ],
)
SHARES = (
    "gpu.nvidia.com",
    [
        [shared("gpu-0", 80, 8), shared("gpu-1", 80, 8)],
        [gpu("gpu-0", H100, "80Gi")],
    ],
)
AMD = (
    "gpu.amd.com",
    [
        [gpu("gpu-0-128", "AMD_Instinct_MI300X_OAM", "192Gi", kind="amdgpu")],
        [amd_part("gpu-8-136", "0000:0c:00.0", "24Gi"), amd_part("gpu-9-137", "0000:0c:00.0", "24Gi")],
        [gpu("gpu-0-128", "AMD_Instinct_MI300X_OAM", "0", kind="amdgpu")],  # memory that the driver could not read
        [gpu("gpu-1-129", "AMD_W7900", "48Gi", kind="amdgpu")],
    ],
)
INTEL = (
    "gpu.intel.com",
    [
        [
            gpu("0000-03-00-0-0x56c1", "Flex 140", "5Gi", attribute="model"),
            gpu("0000-0b-00-0-0x0bda", "Max 1100", "48Gi", attribute="model"),
        ],
        [gpu("0000-03-00-0-0x0bda", "Max 1100", "48Gi", attribute="model")],
    ],
)
OTHERS = [  # another driver's devices on a node of the pool, with none of the attributes
    {"name": "nic-0", "attributes": {"link": {"string": "roce"}}},
]
CLASSES = {
    "gpu.nvidia.com": "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'gpu'",
    "mig.nvidia.com": "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'mig'",
    "gpu.amd.com": "device.driver == 'gpu.amd.com'",
    "gpu.intel.com": "device.driver == 'gpu.intel.com'",
}


class World:
    """A cluster with one pool of nodes whose devices are published as `slices` says, and DeviceClasses."""

    def __init__(
        self,
        driver: str,
        nodes: Sequence[Sequence[Raw]],
        classes: dict[str, str] | None = None,
        *,
        counters: dict[str, dict[str, int]] | None = None,
        held: Sequence[str] = (),
    ) -> None:
        """`counters` are those of the first node's GPUs, `held` its devices that claims have."""
        names = [f"n{number}" for number in range(len(nodes))]
        raw = [self._slice(name, driver, devices) for name, devices in zip(names, nodes, strict=True)]
        raw.append(self._slice("n0", "dra.example.com", OTHERS))
        if counters:
            raw[0]["spec"]["pool"]["resourceSliceCount"] = 2
            raw.append(self._slice("n0", driver, []))
            raw[-1]["spec"]["pool"]["resourceSliceCount"] = 2
            raw[-1]["spec"]["sharedCounters"] = [
                {"name": name, "counters": {key: {"value": str(number)} for key, number in amounts.items()}}
                for name, amounts in counters.items()
            ]
            raw[-1]["metadata"]["name"] += "-counters"
        slices = resource_slices.parse([msgspec.convert(item, SliceWire) for item in raw], "v1")
        self.devices = slices.devices
        taken = [make_allocation(device, claim=device.name) for device in slices.devices if device.name in held]
        written = CLASSES if classes is None else classes
        parsed = [device_classes.parse(msgspec.convert(self._class(*item), device_classes.ClassWire)) for item in written.items()]
        members = []
        for name in names:
            node = make_node(name, gpus=0, gfd=False, labels={"pool": "dra"})
            own = [device for device in slices.devices if device.node_name == name]
            sets = slices.counter_sets
            seen = inspect(NodeInputs(node=node, pods=[], plugin=None, devices=own, allocations=taken, counter_sets=sets))
            members.append(placement_node("east", node, seen, verdict="ready"))
        self.fleet = Fleet(with_pools([POOL], members), label_keys([POOL]))
        self.claims = {"east": ClusterClaims(ClusterDevices(Inventory(slices), parsed, taken), classes=parsed)}
        self.selectors = {device_class.name: device_class.selectors for device_class in parsed}

    @staticmethod
    def _slice(node: str, driver: str, devices: Iterable[Raw]) -> Raw:
        pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
        return {
            "metadata": {"name": f"{node}-{driver}"},
            "spec": {"driver": driver, "nodeName": node, "pool": pool, "devices": list(devices)},
        }

    @staticmethod
    def _class(name: str, expression: str) -> Raw:
        return {"metadata": {"name": name}, "spec": {"selectors": [{"cel": {"expression": expression}}]}}

    def ask(self, **spec: Any) -> ClassInPool:
        class_spec = ClassSpec(slug="c", pools=("dra",), **spec)
        assert not problems(class_spec)
        return class_in_pool(class_spec, POOL, self.fleet, lambda: self.claims)

    def selected(self, asked: ClassInPool) -> set[str]:
        """Every device that class and selectors let in, by node and name. Raises where a selector fails on a device."""
        expressions = (*self.selectors[asked.device_class], *class_claim(asked).requests[0].selectors)
        return {f"{device.pool}/{device.name}" for device in self.devices if meets(device, expressions, "class")}

    def replicas(self, asked: ClassInPool) -> int:
        requirement = asked.requirement
        return headroom([requirement], with_device_room(self.fleet, requirement, class_claim(asked), self.claims)).replicas


def names(*pairs: str) -> set[str]:
    return set(pairs)


@pytest.mark.parametrize(
    ("driver", "spec", "selected", "replicas"),
    [
        (NVIDIA, {}, names("n0/gpu-0", "n0/gpu-1", "n0/gpu-2", "n1/gpu-0", "n1/gpu-1", "n2/gpu-1"), 6),
        (NVIDIA, {"products": ("NVIDIA-L40S",)}, names("n0/gpu-2", "n1/gpu-0"), None),
        (NVIDIA, {"min_memory_mib": 80_000}, names("n0/gpu-0", "n0/gpu-1", "n2/gpu-1"), None),
        (NVIDIA, {"isolation": "mig", "profile": "1g.10gb"}, names("n2/gpu-0-mig-1g10gb-19-0"), 1),
        (SHARES, {"isolation": "time-sliced"}, names("n0/gpu-0", "n0/gpu-1"), 16),
        (SHARES, {"isolation": "time-sliced", "min_memory_mib": 20 * 1024}, names("n0/gpu-0", "n0/gpu-1"), 8),
        (SHARES, {}, names("n1/gpu-0"), 1),
        (AMD, {}, names("n0/gpu-0-128", "n3/gpu-1-129", "n2/gpu-0-128"), 3),
        (AMD, {"products": ("AMD_W7900",)}, names("n3/gpu-1-129"), 1),
        (AMD, {"min_memory_mib": 100_000}, names("n0/gpu-0-128"), None),
        (AMD, {"isolation": "partition", "profile": "CPX"}, names("n1/gpu-8-136", "n1/gpu-9-137"), 2),
        (AMD, {"isolation": "partition", "profile": "cpx_nps4", "gpus": 2}, names("n1/gpu-8-136", "n1/gpu-9-137"), 1),
        (INTEL, {"products": ("Max-1100",)}, names("n0/0000-0b-00-0-0x0bda", "n1/0000-03-00-0-0x0bda"), None),
        (INTEL, {"min_memory_mib": 4096}, {"n0/0000-03-00-0-0x56c1", "n0/0000-0b-00-0-0x0bda", "n1/0000-03-00-0-0x0bda"}, None),
    ],
)
def test_members_in_and_others_out(
    driver: tuple[str, list[list[Raw]]], spec: Raw, selected: set[str], replicas: int | None
) -> None:
    world = World(*driver)
    asked = world.ask(**spec)
    assert world.selected(asked) == selected
    assert not asked.problem
    assert asked.devices is not None
    assert not asked.devices.warnings
    if replicas is not None:
        assert world.replicas(asked) == replicas


@pytest.mark.parametrize(
    ("profile", "says"), [("DPX", "No node of pool dra offers such slots."), ("cpx_nps1", "No device of pool dra is what")]
)
def test_a_mode_that_no_gpu_of_the_pool_is_in(profile: str, says: str) -> None:
    world = World("gpu.amd.com", [AMD[1][1]])
    asked = world.ask(isolation="partition", profile=profile)
    assert says in asked.problem
    assert world.replicas(asked) == 0
    assert world.replicas(world.ask(isolation="partition", profile="cpx_nps4")) == 2


XCDS = 8
MODES = {"spx": 1, "dpx": 2, "qpx": 4, "cpx": 8}


def partitioned_on_demand(card: int, modes: Iterable[str] = MODES) -> list[Raw]:
    """Every way to have an MI300X, each with what it takes of the card's counters."""
    ways = []
    for mode in modes:
        for number in range(MODES[mode]):
            kind = "amdgpu" if mode == "spx" else "amdgpu-partition"
            device = gpu(f"gpu-{card}-{mode}-{number}", "AMD_Instinct_MI300X_OAM", f"{192 // MODES[mode]}Gi", kind=kind)
            device["attributes"] |= {
                "partitionProfile": {"string": f"{mode}_nps1"},
                "resource.kubernetes.io/pciBusID": {"string": f"0000:0{card}:00.0"},
            }
            taken = {"xcds": {"value": str(XCDS // MODES[mode])}}
            device["consumesCounters"] = [{"counterSet": f"gpu-{card}", "counters": taken}]
            ways.append(device)
    return ways


@pytest.mark.parametrize("modes", [tuple(MODES), ("dpx", "cpx")], ids=["beside whole GPUs", "partitions only"])
@pytest.mark.parametrize(
    ("profile", "gpus", "held", "replicas"),
    [
        ("CPX", 1, (), 16),
        ("cpx_nps1", 4, (), 4),
        ("CPX", 1, ("gpu-0-dpx-0",), 12),
        ("CPX", 1, ("gpu-0-dpx-0", "gpu-1-cpx-3"), 11),
        ("DPX", 1, (), 4),
        ("DPX", 1, ("gpu-0-cpx-0",), 3),
        ("DPX", 2, ("gpu-0-cpx-0",), 1),
    ],
)
def test_room_for_partitions_is_what_the_counters_still_allow(
    profile: str, gpus: int, held: Sequence[str], replicas: int, modes: tuple[str, ...]
) -> None:
    devices = [way for card in (0, 1) for way in partitioned_on_demand(card, modes)]
    world = World("gpu.amd.com", [devices], counters={f"gpu-{card}": {"xcds": XCDS} for card in (0, 1)}, held=held)
    asked = world.ask(isolation="partition", profile=profile, gpus=gpus)
    assert (asked.problem, asked.device_class) == ("", "gpu.amd.com")
    assert world.replicas(asked) == replicas
    mode = profile[:3].lower()
    assert world.selected(asked) == {f"n0/{device['name']}" for device in devices if f"-{mode}-" in device["name"]}
    (template, pod) = manifest("pod", [asked], Parameters(name="x", namespace="team-a"))
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    assert (request["exactly"]["count"], pod["spec"]["resourceClaims"][0]["name"]) == (gpus, "gpu")
    rules = manifest("policy", [asked], Parameters(namespace="team-a"))
    assert refusals(rules[0], admitted_pod(pod["spec"])) == refusals(rules[2], template) == []
    request["exactly"]["selectors"] = request["exactly"]["selectors"][:-1]
    assert refusals(rules[2], template), "a claim of any mode"


def test_a_class_of_mps_shares_says_that_dra_has_none() -> None:
    asked = World(*SHARES).ask(isolation="mps")
    assert "shares are a time-sliced class" in asked.problem


def test_shares_that_are_published_later_are_found_before_a_copied_claim_takes_one() -> None:
    """What a claim says of sharing follows from what is published; an earlier one says nothing of it."""
    alone = World("gpu.nvidia.com", [[gpu("gpu-0", H100, "80Gi")]])
    written = alone.ask()
    kept = kept_placement(written, placement_digest(written), alone.fleet, 1)
    later = World("gpu.nvidia.com", [[gpu("gpu-0", H100, "80Gi")], [shared("gpu-1", 80, 8)]])
    now = later.ask()
    assert placement_digest(now) != kept.digest
    own = kept_placement(now, placement_digest(now), later.fleet, 1)
    assert selected_outside(own, [now], later.fleet) == ()
    assert [node.name for node in selected_outside(kept, [now], later.fleet)] == ["n1"]
    (admitted,) = with_earlier([now], [kept, own], later.fleet)
    assert admitted.earlier_selectors == (own.selectors,), "a policy lets no such claim in any more"
    assert with_earlier([written], [kept], alone.fleet)[0].earlier_selectors == (kept.selectors,)


def undivided(name: str, **memory: Raw) -> Raw:
    """A GPU in shares without end: no share takes memory unless it asks for some."""
    device = gpu(name, "NVIDIA H100 80GB HBM3", "80Gi", more={"allowMultipleAllocations": True})
    device["capacity"] = memory
    return device


def test_shares_of_a_pool_in_which_not_all_gpus_divide_their_memory_have_what_the_class_says() -> None:
    any_amount = undivided("gpu-1", memory={"value": "80Gi", "requestPolicy": {"default": "0"}})
    asked = (world := World("gpu.nvidia.com", [[shared("gpu-0", 80, 8), any_amount]])).ask(
        isolation="time-sliced", min_memory_mib=20 * 1024
    )
    assert asked.devices is not None
    assert (asked.devices.capacity, asked.devices.warnings) == ((("memory", "20480Mi"),), ())
    assert world.replicas(asked) == 8, "four of each"
    assert World("gpu.nvidia.com", [[any_amount]]).ask(isolation="time-sliced", min_memory_mib=20 * 1024).devices.capacity == ()


def test_shares_of_their_own_size_are_no_slots_once_repaired() -> None:
    world = World(*SHARES)
    asked = world.ask(isolation="time-sliced", min_memory_mib=20 * 1024)
    requirement = asked.requirement
    room = headroom([requirement], with_device_room(world.fleet, requirement, class_claim(asked), world.claims))
    assert (room.replicas, room.back) == (8, 8), "16 slots of 10 GiB give 8 shares of 20 GiB"


def test_a_share_states_its_memory() -> None:
    template, pod = manifest("pod", [World(*SHARES).ask(isolation="time-sliced", min_memory_mib=20_480)], Parameters(name="x"))
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    memory = 'device.capacity["gpu.nvidia.com"].memory'
    assert request["exactly"] == {
        "deviceClassName": "gpu.nvidia.com",
        "selectors": [
            {"cel": {"expression": expression}}
            for expression in (
                'device.driver == "gpu.nvidia.com"',
                'has(device.attributes["gpu.nvidia.com"].type) && device.attributes["gpu.nvidia.com"].type == "gpu"',
                "device.allowMultipleAllocations",
                f'has({memory}) && {memory}.compareTo(quantity("20480Mi")) >= 0',
            )
        ],
        "allocationMode": "ExactCount",
        "count": 1,
        "capacity": {"requests": {"memory": "20480Mi"}},
    }
    assert pod["spec"]["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "x"}]
    assert pod["spec"]["containers"][0]["resources"] == {"claims": [{"name": "gpu"}]}


def test_what_a_device_may_lack_is_guarded() -> None:
    asked = World(*NVIDIA).ask(products=("NVIDIA-H100-80GB-HBM3",))
    assert asked.devices is not None
    attribute = 'device.attributes["gpu.nvidia.com"].productName'
    assert asked.devices.selectors[-1] == f'has({attribute}) && {attribute} == "{H100}"'


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        ({"any": "true"}, "any"),
        ({"any": "true", "intel": "device.driver == 'gpu.intel.com'"}, "intel"),
        ({"gpu.intel.com": "device.driver == 'gpu.intel.com'", "a": "device.driver == 'gpu.intel.com'"}, "gpu.intel.com"),
        ({"a": "device.attributes['gpu.intel.com'].model == 'Flex 140'", "b": "true"}, "b"),
    ],
)
def test_the_device_class_that_leaves_none_out(classes: dict[str, str], named: str) -> None:
    asked = World(*INTEL, classes).ask(products=("Max-1100",))
    assert asked.devices is not None
    assert asked.device_class == named


def test_a_copied_claim_takes_nothing_else_of_devices_that_join_later() -> None:
    """Driver and type are in every claim: the DeviceClass selects any device, and today there is only one kind."""
    before = World(*INTEL, {"any": "true"}).ask(products=())
    assert before.devices is not None
    later = World("gpu.intel.com", [[gpu("new", "Max 1100", "48Gi", attribute="model", kind="vfio")]]).devices
    assert [meets(device, before.devices.selectors, "claim") for device in later] == [False, False], "passthrough, a network card"


def test_no_device_class_is_a_warning() -> None:
    asked = World(*INTEL, {"nic": "device.driver == 'dra.example.com'"}).ask()
    assert asked.device_class == "gpu.intel.com"
    assert any(warning.startswith("No DeviceClass of the cluster selects these devices.") for warning in asked.warnings)


def test_without_devices_the_names_of_the_driver_remain() -> None:
    world = World(*NVIDIA)
    world.claims = {"east": ClusterClaims(None)}
    asked = world.ask(min_memory_mib=80_000)
    assert asked.devices is None
    (request,) = class_claim(asked).requests
    assert request.selectors == ('device.capacity["gpu.nvidia.com"].memory.compareTo(quantity("80000Mi")) >= 0',)


def test_nodes_of_the_pool_need_no_product_label() -> None:
    asked = World(*NVIDIA).ask(products=("NVIDIA-L40S",))
    assert {item.key for term in asked.terms for item in term if item.operator == "in"} == {"pool"}
    assert not asked.warnings


def test_hostile_names_stay_text() -> None:
    product = 'x" || true || "😀'
    world = World("gpu.intel.com", [[gpu("a", product, "5Gi", attribute="model")], [gpu("b", "Flex", "5Gi", attribute="model")]])
    asked = world.ask(products=(label_form(product),))
    assert world.selected(asked) == {"n0/a"}
