"""Taking away a whole source never makes a rung pass that did not pass before, and never makes a node ready.

Worlds are one of the five stacks with any few faults. Muster has looked at each once before, as it has in life: what it
remembers of that look stays when the source goes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import labels
from fleet.domain.devices.inputs import Previous
from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.evaluation.subject import Policy
from fleet.domain.findings import Status
from fleet.domain.readiness.types import Readiness
from fleet.domain.snapshot import Condition, OperatorSnapshot, ResourceSlices
from fleet.domain.snapshot.telemetry import Telemetry
from tests.builders import make_container, previous_of
from tests.domain.readiness.world import (
    NOW,
    SECTIONS,
    World,
    operand,
    samples,
    stack,
    swapped,
    telemetry,
    validator,
    without,
    worker,
)

STACKS = ("operator", "plain", "gke", "dra", "amd")
_OPERATOR = ("nvidia.com/gpu.deploy.", labels.GPU_PRESENT, labels.DRIVER_UPGRADE_STATE, labels.MIG_CONFIG)
Change = Callable[[World], World]


def relabelled(only: str = "", /, **fields: str | None) -> Change:
    """Sets labels; `only` where a label that begins so says that their author is here at all."""

    def change(world: World) -> World:
        if not any(key.startswith(only) for key in world.node.labels):
            return world
        result = {**world.node.labels, **fields}
        return world.but(node=msgspec.structs.replace(world.node, labels={k: v for k, v in result.items() if v is not None}))

    return change


def offering(allocatable: str, capacity: str | None = None) -> Change:
    def change(world: World) -> World:
        node, name = world.node, next((key for key in world.node.capacity if labels.is_gpu_resource(key)), "nvidia.com/gpu")
        return world.but(
            node=msgspec.structs.replace(
                node,
                allocatable={**node.allocatable, name: allocatable},
                capacity={**node.capacity, name: capacity or node.capacity.get(name, allocatable)},
            )
        )

    return change


def crashing(component: str) -> Change:
    return lambda world: swapped(world, operand(component, state="crashing")) if _has(world, component) else world


def starting(component: str) -> Change:
    return lambda world: swapped(world, operand(component, state="starting")) if _has(world, component) else world


def validating(**states: str) -> Change:
    return lambda world: swapped(world, validator(**states)) if _has(world, "validator") else world


def _has(world: World, component: str) -> bool:
    return any(pod.component == component for pod in world.pods)


def with_pod(**fields: object) -> Change:
    return lambda world: world.but(pods=(*world.pods, worker("another", **fields)))


def reading(**fields: object) -> Change:
    def change(world: World) -> World:
        samples = tuple(msgspec.structs.replace(sample, **fields) for sample in world.telemetry.samples)
        return world.but(telemetry=msgspec.structs.replace(world.telemetry, samples=samples))

    return change


_REFUSED = (make_container(gpus=1, state="waiting", reason="RunContainerError", ready=False),)
FAULTS: dict[str, Change] = {
    "idle": lambda world: world.but(pods=without(world.pods, "")),
    "cordoned": lambda world: world.but(node=msgspec.structs.replace(world.node, unschedulable=True)),
    "kubelet gone": lambda world: world.but(
        node=msgspec.structs.replace(world.node, conditions=(Condition(type="Ready", status="Unknown"),))
    ),
    "pressure": lambda world: world.but(
        node=msgspec.structs.replace(
            world.node, conditions=(*world.node.conditions, Condition(type="DiskPressure", status="True"))
        )
    ),
    "card lost": offering("7"),
    "nothing on offer": offering("0"),
    "plugin offers fewer": offering("6", "6"),
    "driver crashing": crashing("driver"),
    "driver starting": starting("driver"),
    "toolkit crashing": crashing("toolkit"),
    "plugin crashing": crashing("device-plugin"),
    "gfd crashing": crashing("gpu-feature-discovery"),
    "exporter crashing": crashing("dcgm-exporter"),
    "validator fails": validating(driver="failed", toolkit="waiting", cuda="waiting"),
    "cuda fails": validating(cuda="failed"),
    "cuda runs": validating(cuda="running"),
    "upgrade failed": relabelled(labels.GPU_DEPLOY_PREFIX, **{labels.DRIVER_UPGRADE_STATE: "upgrade-failed"}),
    "upgrading": relabelled(labels.GPU_DEPLOY_PREFIX, **{labels.DRIVER_UPGRADE_STATE: "drain-required"}),
    "mig failed": relabelled(labels.GPU_DEPLOY_PREFIX, **{labels.MIG_CONFIG: "all-1g.10gb", labels.MIG_CONFIG_STATE: "failed"}),
    "labels count seven": relabelled(labels.GPU_PRODUCT, **{labels.GPU_COUNT: "7"}),
    "labels promise shares": relabelled(
        labels.GPU_PRODUCT, **{labels.GPU_REPLICAS: "4", labels.GPU_SHARING_STRATEGY: "time-slicing"}
    ),
    "labels of another product": relabelled(labels.GPU_PRODUCT, **{labels.GPU_PRODUCT: "NVIDIA-A100-SXM4-80GB"}),
    "old labels": relabelled(labels.GPU_PRODUCT, **{labels.GFD_TIMESTAMP: "1000"}),
    "refused container": with_pod(phase="Pending", ready=False, reason="RunContainerError", containers=_REFUSED),
    "refused pod": with_pod(phase="Failed", ready=False, reason="UnexpectedAdmissionError", started_at=NOW),
    "slots full": with_pod(gpus=7),
    "seven report": lambda world: world.but(telemetry=telemetry(samples(7))),
    "another model reads": reading(model="NVIDIA A10"),
    "another driver reads": reading(driver_version="1.2.3"),
    "stale samples": reading(at=NOW - timedelta(hours=1)),
    "slices lost": lambda world: world.but(slices=ResourceSlices(devices=world.slices.devices[1:])),
    "rebooted": lambda world: world.remembering(booted_at=NOW - timedelta(minutes=30)),
}


def unread(section: str) -> Change:
    return lambda world: world.but(broken=(section,))


def unlabelled(*prefixes: str) -> Change:
    def change(world: World) -> World:
        kept = {key: value for key, value in world.node.labels.items() if not key.startswith(prefixes)}
        return world.but(node=msgspec.structs.replace(world.node, labels=kept))

    return change


def _gfd_only(world: World) -> World:
    kept = {
        key: value
        for key, value in world.node.labels.items()
        if not key.startswith("nvidia.com/") or key.startswith((*_OPERATOR, labels.DEVICE_PLUGIN_CONFIG))
    }
    return world.but(node=msgspec.structs.replace(world.node, labels=kept))


REMOVALS: dict[str, Change] = {
    **{f"section {name}": unread(name) for name in SECTIONS if name != "nodes"},
    "conditions": lambda world: world.but(node=msgspec.structs.replace(world.node, conditions=())),
    "GFD's labels": _gfd_only,
    "the operator's labels": unlabelled(*_OPERATOR),
    "the cloud's labels": unlabelled("cloud.google.com/", "node.kubernetes.io/instance-type"),
    "AMD's labels": unlabelled("amd.com/"),
    "every label": unlabelled(""),
    "the exporter": lambda world: world.but(telemetry=Telemetry()),
    "the exporter and its pod": lambda world: world.but(telemetry=Telemetry(), pods=without(world.pods, "dcgm-exporter")),
    "the stack's pods": lambda world: world.but(pods=tuple(pod for pod in world.pods if not pod.component)),
    "one part's pods": lambda world: world.but(pods=without(world.pods, "driver", "toolkit", "validator")),
    "the DaemonSets": lambda world: world.but(operator=OperatorSnapshot()),
    "slots": lambda world: world.but(node=msgspec.structs.replace(world.node, capacity={}, allocatable={})),
    "ResourceSlices": lambda world: world.but(slices=ResourceSlices()),
}


def looked_at(world: World) -> tuple[World, Previous]:
    """The world with what Muster remembers of its look at it, and what may stand in for GFD's labels."""
    node = evaluate(world.snapshot(), msgspec.structs.replace(world.cluster, nodes={world.node.uid: world.history})).nodes[0]
    readiness = node.readiness
    proved = frozenset(rung.id for rung in readiness.rungs if rung.status == Status.PASS)
    seen = world.remembering(
        pending=readiness.remember,
        rungs={item.id: item.status for item in readiness.rungs},
        samples=world.telemetry.samples,
        known_uuids=tuple(sorted({sample.uuid for sample in world.telemetry.samples})),
        verdict=readiness.verdict,
    )
    return seen.but(cluster=msgspec.structs.replace(world.cluster, rungs_proved=proved)), previous_of(node.devices)


def passing(readiness: Readiness) -> set[str]:
    return {rung.id for rung in readiness.rungs if rung.status == Status.PASS}


def check(name: str, faults: list[str], removal: str, *, partial: bool) -> None:
    world = stack(name)
    for fault in faults:
        world = FAULTS[fault](world)
    world = world.but(cluster=msgspec.structs.replace(world.cluster, default_policy=Policy(partial_nodes=partial)))
    world, previous = looked_at(world)
    before = world.evaluate_ladder()
    poorer = REMOVALS[removal](world)
    if labels.GPU_PRODUCT in world.node.labels and labels.GPU_PRODUCT not in poorer.node.labels:
        poorer = poorer.remembering(previous=previous)
    after = poorer.evaluate_ladder()
    why = {rung.id: rung.reason for rung in after.rungs if rung.id in passing(after) - passing(before)}
    assert not why, f"{name} with {faults}, without {removal}: {why}"
    assert after.verdict != "ready" or before.verdict == "ready", f"{name} with {faults}, without {removal}"


@pytest.mark.slow
@pytest.mark.parametrize("removal", sorted(REMOVALS))
@pytest.mark.parametrize("name", STACKS)
def test_with_one_fault(name: str, removal: str) -> None:
    for fault in FAULTS:
        check(name, [fault], removal, partial=False)


@pytest.mark.parametrize("other", ["card lost", "nothing on offer", "plugin offers fewer"])
def test_devices_that_dra_no_longer_publishes_are_not_counted_by_others_instead(other: str) -> None:
    check("dra", [other, "slices lost"], "ResourceSlices", partial=False)


@pytest.mark.slow
@settings(max_examples=300)
@given(
    name=st.sampled_from(STACKS),
    faults=st.lists(st.sampled_from(sorted(FAULTS)), max_size=4, unique=True),
    removal=st.sampled_from(sorted(REMOVALS)),
    partial=st.booleans(),
)
def test_with_any_few_faults(name: str, faults: list[str], removal: str, partial: bool) -> None:
    check(name, faults, removal, partial=partial)
