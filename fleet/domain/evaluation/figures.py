"""The figures of a node, and their sums. Computed once at evaluation, stored, and read by every page, list and metric."""

from __future__ import annotations

import msgspec

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.devices.slots import ResourceSlots, Slots, free_slots
from fleet.domain.evaluation.expected import ExpectedGpus
from fleet.domain.readiness.types import Readiness, Verdict
from fleet.domain.readiness.wording import missing_words

STATES = ("full", "partial", "none", "not_ready", "cordoned", "unknown")
"""What a node advertises: all, a part or none of the slots that its devices predict, or why none (kubelet, cordon).

Not a second verdict: a verdict states whether workloads can rely on the node, by evidence up to the required rung. A state is
known without telemetry and explains the GPUs that `advertised` lacks, as the verdict explains those that `usable` lacks (ADR 9).
"""
VERDICTS = tuple(verdict.value for verdict in Verdict)
USABLE = (Verdict.READY, Verdict.DEGRADED)
"""Verdicts of nodes whose free slots a pod can count on."""
UNBLAMED = (Verdict.EXCLUDED, Verdict.STARTING)
"""Verdicts of nodes whose GPUs are missing without a fault: no rung is the reason."""


class NodeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures and short words of one node. None is unknown, never 0; an empty text is unknown."""

    vendor: str = ""
    product: str = ""
    family: str = ""
    gpu_memory_mib: int | None = None
    driver_version: str = ""
    cuda_version: str = ""
    machine_type: str = ""
    zone: str = ""

    physical: int | None = None
    physical_source: str = ""
    expected: int | None = None
    expected_source: str = ""
    """declared, ordered or learned; empty where `expected` is None."""
    advertised: int | None = None
    """Physical GPUs that the scheduler can hand out; 0 on a cordoned node or one whose kubelet is not ready."""
    usable: int | None = None
    """Physical GPUs that a workload may count on: of a ready or degraded node."""

    verdict: str = Verdict.UNKNOWN.value
    broken_rung: str = ""
    reached: int = -1
    """Number of the highest rung up to which none is broken; −1 for none."""
    flapping: bool = False
    state: str = "unknown"
    """cordoned, not_ready (the kubelet), or what is advertised of the node's slots: full, partial, none, unknown."""
    schedulable: bool = True
    kubelet_ready: bool | None = None

    mode: str = ""
    isolation: str = ""
    partitioning: str = ""
    sharing: str = ""
    replicas: int | None = None
    mig_instances: dict[str, int] | None = None
    """Instances by profile; {} is none, None is unknown."""

    slots: Slots = Slots()
    resources: tuple[ResourceSlots, ...] = ()
    are_kept: bool = True
    """False for a past moment at which nothing but the verdict was kept."""
    requests_kept: bool = True
    """False for a past moment at which requested and free slots, which pods change all the time, were not kept."""

    @property
    def missing(self) -> int | None:
        """Returns the physical GPUs that are expected and not usable; None where the expected number is unknown."""
        return None if self.expected is None else self.expected - self.usable_of_expected

    @property
    def usable_of_expected(self) -> int:
        """Returns the usable physical GPUs as they count in sums: at most the expected number."""
        return min(self.usable or 0, self.expected or 0)

    @property
    def is_usable(self) -> bool:
        """Returns whether a pod can count on the node: whether its free slots count in sums."""
        return self.verdict in USABLE

    @property
    def free(self) -> int | None:
        """Returns the free slots as they count in sums: 0 where the node is not usable."""
        free = free_slots(self.slots.free)
        return free if self.is_usable or free is None else 0

    @property
    def free_unusable(self) -> int | None:
        """Returns the free slots that do not count, because the node is not usable."""
        free = free_slots(self.slots.free)
        return 0 if self.is_usable and free is not None else free

    @property
    def missing_reason(self) -> str:
        """Returns the reason of the missing GPUs in a few words; empty where none is missing."""
        return missing_words(self.verdict, self.blamed_rung) if self.missing else ""

    @property
    def blamed_rung(self) -> str:
        """Returns the rung that missing GPUs are counted under; empty for excluded and starting nodes."""
        return "" if self.verdict in UNBLAMED else self.broken_rung

    @property
    def is_counted(self) -> bool:
        """Returns whether its GPUs are in the sums: a source counts them, or states the expected number."""
        return self.physical is not None or bool(self.expected)


def node_figures(  # noqa: PLR0913 the sources of the figures, given by name
    devices: NodeDevices,
    readiness: Readiness,
    expected: ExpectedGpus,
    *,
    state: str,
    place: tuple[str, str],
    kubelet_ready: bool | None,
    schedulable: bool,
) -> NodeFigures:
    """Returns the figures of one evaluated node. `place`: machine type and zone."""
    return NodeFigures(
        vendor=devices.vendor,
        product=devices.product,
        family=devices.family,
        gpu_memory_mib=devices.gpu_memory_mib,
        driver_version=devices.driver_version,
        cuda_version=devices.cuda_version,
        machine_type=place[0],
        zone=place[1],
        physical=devices.physical,
        physical_source=devices.physical_source,
        expected=expected.count,
        expected_source=expected.source,
        advertised=advertised(devices, state),
        usable=readiness.usable,
        verdict=readiness.verdict.value,
        broken_rung=readiness.broken_rung,
        reached=readiness.reached,
        flapping=readiness.flapping,
        state=state,
        schedulable=schedulable,
        kubelet_ready=kubelet_ready,
        mode=devices.mode,
        isolation=devices.isolation,
        partitioning=devices.partitioning or "",
        sharing=devices.sharing or "",
        replicas=devices.replicas,
        mig_instances=devices.mig_instances,
        slots=devices.slots,
        resources=devices.resources,
    )


def advertised(devices: NodeDevices, state: str) -> int | None:
    """Returns the physical GPUs that the scheduler can hand out on a node in this state."""
    if state in ("cordoned", "not_ready", "none"):
        return 0
    return None if state == "unknown" else devices.advertised_gpus


def unreachable(figures: NodeFigures) -> NodeFigures:
    """Returns the figures of a node whose cluster has not been read for so long that its verdict is unknown.

    None of its GPUs is usable, and a number of usable GPUs that was unknown stays unknown.
    """
    return msgspec.structs.replace(
        figures,
        verdict=Verdict.UNKNOWN.value,
        broken_rung="",
        reached=-1,
        flapping=False,
        usable=None if figures.usable is None else 0,
    )


def lasting(figures: NodeFigures) -> NodeFigures:
    """Returns the figures that a period keeps: without requested and free slots, which pods change all the time."""
    slots = msgspec.structs.replace(figures.slots, requested=None, free=None)
    resources = tuple(msgspec.structs.replace(resource, requested=None, free=None) for resource in figures.resources)
    return msgspec.structs.replace(figures, slots=slots, resources=resources, requests_kept=False)
