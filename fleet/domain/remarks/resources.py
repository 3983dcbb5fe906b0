"""Remarks on the resources themselves: stale names, two stacks at once, MIG and labels that do not suit, unreadable text."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain import labels
from fleet.domain.findings import Evidence, Remark, Severity
from fleet.domain.layout import MIXED, Layout
from fleet.domain.offering import Offering
from fleet.domain.reading import Reading
from fleet.domain.remarks.words import plural


def about_resources(reading: Reading, layout: Layout, offering: Offering) -> Iterator[Remark]:
    """Everything about names and kinds of resources that a reader would stumble over."""
    phantoms = [name for name in offering.stale if reading.offers[name].allocatable]
    stale = [name for name in offering.stale if name not in phantoms]
    if stale:
        yield Remark(
            id="stale_resource",
            severity=Severity.INFO,
            text=f"{', '.join(stale)} stayed behind from an earlier layout: nothing of it is allocatable, not counted.",
            evidence=tuple(Evidence("capacity", name, reading.node.capacity.get(name, "0")) for name in stale),
        )
    for name in phantoms:
        yield Remark(
            id="phantom_slots",
            severity=Severity.WARNING,
            text=f"{plural(reading.offers[name].allocatable or 0, 'slot')} of {name} stayed behind from an earlier layout: "
            "labels and other resources account for every card. Not counted; pods that get one will fail.",
            evidence=(Evidence("allocatable", name, reading.node.allocatable.get(name, "")),),
        )
    if reading.unreadable or reading.gfd.unreadable:
        yield Remark(
            id="unreadable_value",
            severity=Severity.WARNING,
            text=f"No number stands in {', '.join((*reading.unreadable, *reading.gfd.unreadable))}: treated as unknown.",
            evidence=(
                *(Evidence("capacity", name, reading.node.capacity.get(name, "")) for name in reading.unreadable),
                *(Evidence("label", key, reading.node.labels.get(key, "")) for key in reading.gfd.unreadable),
            ),
        )
    yield from _twice(reading, offering)
    yield from _mig(reading, layout, offering)
    if reading.dra is not None and reading.dra.tainted:
        yield Remark(
            id="device_taints",
            severity=Severity.WARNING,
            text=f"{plural(len(reading.dra.tainted), 'device')} kept from the scheduler by device taints: "
            f"{', '.join(reading.dra.tainted)}.",
        )


def _twice(reading: Reading, offering: Offering) -> Iterator[Remark]:
    doubled = sorted(name for name in offering.leave_out if reading.capacity.get(name) and name not in offering.stale)
    if doubled and reading.dra is not None:
        yield Remark(
            id="double_stack",
            severity=Severity.WARNING,
            text=f"The device plugin ({', '.join(doubled)}) and DRA both offer this node's cards: slots are counted by DRA "
            "only, and a card may be given away twice.",
            evidence=tuple(Evidence("capacity", name, str(reading.capacity[name])) for name in doubled),
        )
    elif doubled:
        yield Remark(
            id="renamed_twice",
            severity=Severity.WARNING,
            text=f"The same devices are offered under two names; {', '.join(doubled)} is a leftover and not counted.",
            evidence=tuple(Evidence("capacity", name, str(reading.capacity[name])) for name in doubled),
        )


def _mig(reading: Reading, layout: Layout, offering: Offering) -> Iterator[Remark]:
    gfd = reading.gfd
    if reading.dra is not None and reading.dra.dynamic:
        yield Remark(
            id="dynamic_mig",
            severity=Severity.INFO,
            text="MIG instances are made on demand: offered placements are not counted as instances.",
        )
    if gfd.found and gfd.replicas == 0 and not gfd.mig_invalid and not layout.mig_instances and reading.dra is None:
        whole = reading.capacity.get(labels.NVIDIA_GPU)
        text = (
            f"The cards are in MIG mode, but the device plugin offers them as {plural(whole, 'full GPU')}: workloads may fail "
            "or get an instance."
            if whole
            else "The cards are in MIG mode and have no MIG instance: there is nothing to schedule on."
        )
        yield Remark(
            id="mig_mode_not_used",
            severity=Severity.WARNING,
            text=text,
            evidence=(
                Evidence("label", labels.GPU_REPLICAS, "0"),
                Evidence("label", labels.MIG_STRATEGY, gfd.mig_strategy),
            ),
        )
    strangers = [
        name
        for name, offer in reading.offers.items()
        if offer.capacity and offer.profile not in {"", gfd.mig_profile, *gfd.mig} and gfd.found and name not in offering.stale
    ]
    if strangers and reading.dra is None:
        yield Remark(
            id="labels_disagree_with_resources",
            severity=Severity.WARNING,
            text=f"{', '.join(strangers)} is offered, but the labels tell of no such instances: leftovers, or the labels are "
            "behind.",
            evidence=tuple(Evidence("capacity", name, str(reading.capacity[name])) for name in strangers),
        )
    if layout.partitioning == MIXED and gfd.mig_profile:
        yield Remark(
            id="labels_disagree_with_resources",
            severity=Severity.WARNING,
            text=f"The labels tell of the single MIG strategy ({gfd.mig_profile}), the resources of the mixed one: one of them "
            "is behind.",
            evidence=(Evidence("label", labels.GPU_PRODUCT, reading.node.labels.get(labels.GPU_PRODUCT, "")),),
        )
