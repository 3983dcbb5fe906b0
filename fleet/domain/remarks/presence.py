"""Remarks on GPUs that are expected and not offered at all, and on nodes that no longer tell of any."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain.findings import Remark, Severity
from fleet.domain.gpu_nodes import gpu_evidence
from fleet.domain.offering import Offering
from fleet.domain.physical import Physical
from fleet.domain.reading import Reading
from fleet.domain.remarks.node import maintenance
from fleet.domain.remarks.words import plural


def about_presence(reading: Reading, offering: Offering, physical: Physical) -> Iterator[Remark]:
    """Nothing is offered although something proves GPUs, or nothing proves them any more.

    Where a resource is named that should be offered, the remark on that resource says it better.
    """
    if reading.capacity or reading.dra is not None or reading.pools_missing or physical.count == 0:
        return
    evidence = gpu_evidence(reading.node)
    if not evidence:
        yield Remark(
            id="no_gpu_evidence",
            severity=Severity.WARNING,
            text="Nothing tells of GPUs on this node: no label, no resource, no ResourceSlice.",
        )
        return
    named = any((slots.predicted or 0) > 0 for slots in offering.resources)
    if reading.node.capacity and not named and not reading.gfd.mig_invalid and not _slots_unknown(offering):
        what = plural(physical.count, "GPU") if physical.count else "GPUs"
        yield Remark(
            id="nothing_offered",
            severity=Severity.INFO if maintenance(reading) else Severity.CRITICAL,
            text=f"The node should have {what}, but offers none to the scheduler.",
            evidence=tuple(evidence[:3]),
        )


def _slots_unknown(offering: Offering) -> bool:
    return any(slots.capacity is None for slots in offering.resources)
