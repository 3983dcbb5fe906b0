"""Findings on resources: stale names, two stacks at once, contradicting MIG labels, unreadable values."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.partitioning import MIXED, PartitionLayout
from fleet.domain.devices.resources import NodeResources
from fleet.domain.findings import Evidence, Finding, Severity
from fleet.domain.quantities import plural


def about_resources(claims: NodeClaims, layout: PartitionLayout, resources_of_node: NodeResources) -> Iterator[Finding]:
    """Yields findings on the names and kinds of resources."""
    phantoms = [name for name in resources_of_node.stale if claims.resources[name].allocatable]
    stale = [name for name in resources_of_node.stale if name not in phantoms]
    if stale:
        yield Finding(
            rule="stale_resource",
            severity=Severity.INFO,
            text=f"{', '.join(stale)} left from an earlier layout: not allocatable, not counted.",
            evidence=tuple(Evidence("capacity", name, claims.node.capacity.get(name, "0")) for name in stale),
        )
    for name in phantoms:
        yield Finding(
            rule="phantom_slots",
            severity=Severity.WARNING,
            text=f"{plural(claims.resources[name].allocatable or 0, 'slot')} of {name} left from an earlier layout: "
            "labels and other resources account for every GPU. Not counted; pods that get one will fail.",
            evidence=(Evidence("allocatable", name, claims.node.allocatable.get(name, "")),),
        )
    if claims.unreadable or claims.gfd.unreadable:
        yield Finding(
            rule="unreadable_value",
            severity=Severity.WARNING,
            text=f"Not a number: {', '.join((*claims.unreadable, *claims.gfd.unreadable))}. Treated as unknown.",
            evidence=(
                *(Evidence("capacity", name, claims.node.capacity.get(name, "")) for name in claims.unreadable),
                *(Evidence("label", key, claims.node.labels.get(key, "")) for key in claims.gfd.unreadable),
            ),
        )
    yield from _twice(claims, resources_of_node)
    yield from _mig(claims, layout, resources_of_node)
    if claims.dra is not None and claims.dra.tainted:
        yield Finding(
            rule="devices_tainted",
            severity=Severity.WARNING,
            text=f"{plural(len(claims.dra.tainted), 'device')} excluded from scheduling by device taints: "
            f"{', '.join(claims.dra.tainted)}.",
        )
    if claims.gfd_left_behind:
        keys = (labels.GPU_REPLICAS, labels.GPU_SHARING_STRATEGY, labels.GPU_PRODUCT)
        yield Finding(
            rule="gfd_labels_left_behind",
            severity=Severity.WARNING,
            text="GFD's labels are on this node, but DRA serves its GPUs and GFD does not run on it: the labels are stale, and "
            "the sharing they declare is ignored.",
            evidence=tuple(Evidence("label", key, claims.node.labels[key]) for key in keys if key in claims.node.labels),
        )


def _twice(claims: NodeClaims, resources_of_node: NodeResources) -> Iterator[Finding]:
    doubled = sorted(
        name
        for name in resources_of_node.duplicates
        # what another scheduler counts by is no stale name, however many names the GPUs have
        if claims.capacity.get(name) and name not in resources_of_node.stale and not labels.is_count_resource(name)
    )
    if doubled and claims.dra is not None:
        yield Finding(
            rule="device_plugin_and_dra",
            severity=Severity.WARNING,
            text=f"The device plugin ({', '.join(doubled)}) and DRA both advertise this node's GPUs: slots are counted by DRA "
            "only, and a GPU may be allocated twice.",
            evidence=tuple(Evidence("capacity", name, str(claims.capacity[name])) for name in doubled),
        )
    elif doubled:
        yield Finding(
            rule="renamed_twice",
            severity=Severity.WARNING,
            text=f"The same devices are advertised under two names; {', '.join(doubled)} is stale and not counted.",
            evidence=tuple(Evidence("capacity", name, str(claims.capacity[name])) for name in doubled),
        )


def _mig(claims: NodeClaims, layout: PartitionLayout, resources_of_node: NodeResources) -> Iterator[Finding]:
    gfd = claims.gfd
    if claims.dra is not None and claims.dra.dynamic:
        yield Finding(
            rule="dynamic_mig",
            severity=Severity.INFO,
            text="MIG instances are created on demand: possible placements are not counted as instances.",
        )
    if gfd.is_present and gfd.replicas == 0 and not gfd.mig_invalid and not layout.mig_instances and claims.dra is None:
        whole = claims.capacity.get(labels.NVIDIA_GPU)
        text = (
            f"The GPUs are in MIG mode, but the device plugin advertises them as {plural(whole, 'full GPU')}: workloads may fail "
            "or get an instance."
            if whole
            else "The GPUs are in MIG mode without MIG instances: nothing is schedulable."
        )
        yield Finding(
            rule="mig_mode_not_used",
            severity=Severity.WARNING,
            text=text,
            evidence=(
                Evidence("label", labels.GPU_REPLICAS, "0"),
                Evidence("label", labels.MIG_STRATEGY, gfd.mig_strategy),
            ),
        )
    strangers = [
        name
        for name, offer in claims.resources.items()
        if offer.capacity
        and offer.profile not in {"", gfd.mig_profile, *gfd.mig}
        and gfd.is_present
        and name not in resources_of_node.stale
    ]
    if strangers and claims.dra is None:
        yield Finding(
            rule="labels_disagree_with_resources",
            severity=Severity.WARNING,
            text=f"{', '.join(strangers)} is advertised, but the labels show no such instances: stale resources, or stale "
            "labels.",
            evidence=tuple(Evidence("capacity", name, str(claims.capacity[name])) for name in strangers),
        )
    if layout.partitioning == MIXED and gfd.mig_profile:
        yield Finding(
            rule="labels_disagree_with_resources",
            severity=Severity.WARNING,
            text=f"The labels show the single MIG strategy ({gfd.mig_profile}), the resources the mixed strategy: one of them "
            "is stale.",
            evidence=(Evidence("label", labels.GPU_PRODUCT, claims.node.labels.get(labels.GPU_PRODUCT, "")),),
        )
