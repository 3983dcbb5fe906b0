"""Findings on the number of physical GPUs: unknown, assumed, a lower bound, or counted differently by two sources."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.counts import Physical
from fleet.domain.findings import Evidence, Finding, Severity
from fleet.domain.quantities import plural


def about_count(claims: NodeClaims, physical: Physical) -> Iterator[Finding]:
    """Yields findings on physical GPUs: unknown, assumed, a lower bound, or counted differently by two sources."""
    gfd = claims.gfd
    if gfd.mig_invalid:
        yield Finding(
            rule="mig_invalid",
            severity=Severity.CRITICAL,
            text="The MIG layout does not fit the single strategy (GPUs without instances, GPUs not in MIG mode, or more "
            "than one profile): the node advertises no GPU.",
            evidence=(Evidence("label", labels.GPU_PRODUCT, claims.node.labels.get(labels.GPU_PRODUCT, "")),),
        )
    if physical.count is None and not gfd.mig_invalid and physical.why_unknown:
        why = f": {physical.why_unknown}" if physical.why_unknown else ""
        yield Finding(rule="physical_unknown", severity=Severity.WARNING, text=f"The number of physical GPUs is unknown{why}.")
    if physical.assumed:
        mig = claims.gfd.mig_profile != ""
        yield Finding(
            rule="mig_layout_assumed" if mig else "physical_assumed",
            severity=Severity.INFO,
            text=f"{plural(physical.count or 0, 'physical GPU')}, assuming that {physical.assumed}.",
        )
    if physical.lower_bound:
        yield Finding(
            rule="physical_lower_bound",
            severity=Severity.WARNING,
            text=f"At least {plural(physical.count or 0, 'physical GPU')}: "
            f"{physical.why_least or 'the MIG instances need that many, but may be spread over more'}.",
        )
    counted_otherwise = claims.vendor == "nvidia" and physical.source not in ("dcgm", "resource_slice")
    if claims.seen and counted_otherwise and len(claims.seen) < (physical.count or 0):
        yield Finding(
            rule="telemetry_sees_fewer",
            severity=Severity.WARNING,
            text=f"DCGM reports {plural(len(claims.seen), 'GPU')}, but {physical.count} are counted.",
            evidence=tuple(Evidence("dcgm", "UUID", card.uuid) for card in claims.seen),
        )
    ordered = claims.cloud.count
    if physical.count is not None and physical.source in ("label", "resource_slice", "dcgm") and ordered:
        if physical.count < ordered and not physical.lower_bound:
            yield Finding(
                rule="fewer_than_ordered",
                severity=Severity.WARNING,
                text=f"{plural(physical.count, 'GPU')} detected, but the machine type has {ordered}.",
                evidence=claims.cloud.evidence,
            )
        elif physical.count > ordered:
            yield Finding(
                rule="more_than_ordered",
                severity=Severity.WARNING,
                text=f"{plural(physical.count, 'GPU')} detected, but the cloud's labels declare {ordered}.",
                evidence=claims.cloud.evidence,
            )
    if (
        physical.source == "resource_slice"
        and gfd.count not in (None, physical.count)
        and not gfd.mig_profile
        and not gfd.mig_invalid
    ):
        yield Finding(
            rule="slices_disagree_with_labels",
            severity=Severity.WARNING,
            text=f"ResourceSlices list {plural(physical.count or 0, 'GPU')}, the labels count {gfd.count}.",
            evidence=(Evidence("label", labels.GPU_COUNT, str(gfd.count)),),
        )
    if claims.labels_vanished:
        yield Finding(
            rule="labels_missing",
            severity=Severity.INFO,
            text="GPU feature discovery's labels are missing, but the advertised resources are unchanged: showing last known.",
        )
