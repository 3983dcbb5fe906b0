"""Findings on GPUs that are expected and not advertised at all, and on nodes without any evidence of GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.counts import Physical
from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.devices.findings.node import maintenance
from fleet.domain.devices.resources import NodeResources
from fleet.domain.findings import Finding, Severity
from fleet.domain.quantities import plural


def about_presence(claims: NodeClaims, resources_of_node: NodeResources, physical: Physical) -> Iterator[Finding]:
    """Yields a finding where nothing is advertised despite evidence of GPUs, or where the evidence is missing.

    Where the name of an expected resource is known, the finding on that resource is used instead.
    """
    if claims.capacity or claims.fractions.names or claims.dra is not None or claims.pools_missing or physical.count == 0:
        return
    evidence = gpu_evidence(claims.node)
    if not evidence:
        yield Finding(
            rule="no_gpu_evidence",
            severity=Severity.WARNING,
            text="No evidence of GPUs on this node: no label, no resource, no ResourceSlice.",
        )
        return
    named = any(slots.predicted for slots in resources_of_node.resources)
    if claims.node.capacity and not named and not claims.gfd.mig_invalid and not _slots_unknown(resources_of_node):
        what = plural(physical.count, "GPU") if physical.count else "GPUs"
        yield Finding(
            rule="nothing_advertised",
            severity=Severity.INFO if maintenance(claims) else Severity.CRITICAL,
            text=f"The node should have {what}, but advertises none to the scheduler.",
            evidence=tuple(evidence[:3]),
        )


def _slots_unknown(resources_of_node: NodeResources) -> bool:
    return any(slots.capacity is None for slots in resources_of_node.resources)
