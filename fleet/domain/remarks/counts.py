"""Remarks on the number of physical GPUs: unknown, assumed, a lower bound, or told differently by two sources."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain import labels
from fleet.domain.findings import Evidence, Remark, Severity
from fleet.domain.physical import Physical
from fleet.domain.reading import Reading
from fleet.domain.remarks.words import plural


def missing_devices(physical: int | None, expected: int | None) -> Remark | None:
    """The remark for a node that has fewer physical GPUs than it should; None where it has them or nobody can tell."""
    if physical is None or expected is None or physical >= expected:
        return None
    text = f"{plural(expected - physical, 'GPU')} of {expected} missing: only {physical} can be seen."
    return Remark(id="gpus_missing", severity=Severity.CRITICAL, text=text)


def about_count(reading: Reading, physical: Physical) -> Iterator[Remark]:
    """Physical GPUs: unknown, assumed, a lower bound, or told differently by two sources."""
    gfd = reading.gfd
    if gfd.mig_invalid:
        yield Remark(
            id="mig_invalid",
            severity=Severity.CRITICAL,
            text="The MIG layout does not suit the single strategy (cards without instances, cards not in MIG mode, or more "
            "than one profile): the node offers no GPU.",
            evidence=(Evidence("label", labels.GPU_PRODUCT, reading.node.labels.get(labels.GPU_PRODUCT, "")),),
        )
    if physical.count is None and not gfd.mig_invalid and physical.why_unknown:
        why = f": {physical.why_unknown}" if physical.why_unknown else ""
        yield Remark(id="physical_unknown", severity=Severity.WARNING, text=f"The number of physical GPUs is unknown{why}.")
    if physical.assumed:
        mig = reading.gfd.mig_profile != ""
        yield Remark(
            id="mig_layout_assumed" if mig else "physical_assumed",
            severity=Severity.INFO,
            text=f"{plural(physical.count or 0, 'physical GPU')}, taken for granted that {physical.assumed}.",
        )
    if physical.lower_bound:
        yield Remark(
            id="physical_lower_bound",
            severity=Severity.WARNING,
            text=f"At least {plural(physical.count or 0, 'physical GPU')}: so many it takes for the MIG instances there are, "
            "but they may be spread over more.",
        )
    counted_otherwise = reading.vendor == "nvidia" and physical.source not in ("dcgm", "resource_slice")
    if reading.seen and counted_otherwise and len(reading.seen) < (physical.count or 0):
        yield Remark(
            id="telemetry_sees_fewer",
            severity=Severity.WARNING,
            text=f"DCGM tells of {plural(len(reading.seen), 'GPU')}, while {physical.count} are counted.",
            evidence=tuple(Evidence("dcgm", "UUID", card.uuid) for card in reading.seen),
        )
    ordered = reading.cloud.count
    if physical.count is not None and physical.source in ("label", "resource_slice", "dcgm") and ordered:
        if physical.count < ordered and not physical.lower_bound:
            yield Remark(
                id="fewer_than_ordered",
                severity=Severity.WARNING,
                text=f"{plural(physical.count, 'GPU')} found, but the machine type has {ordered}.",
                evidence=reading.cloud.evidence,
            )
        elif physical.count > ordered:
            yield Remark(
                id="more_than_ordered",
                severity=Severity.WARNING,
                text=f"{plural(physical.count, 'GPU')} found, but the cloud's labels say {ordered}.",
                evidence=reading.cloud.evidence,
            )
    if (
        physical.source == "resource_slice"
        and gfd.count not in (None, physical.count)
        and not gfd.mig_profile
        and not gfd.mig_invalid
    ):
        yield Remark(
            id="slices_disagree_with_labels",
            severity=Severity.WARNING,
            text=f"ResourceSlices publish {plural(physical.count or 0, 'GPU')}, the labels count {gfd.count}.",
            evidence=(Evidence("label", labels.GPU_COUNT, str(gfd.count)),),
        )
    if reading.labels_vanished:
        yield Remark(
            id="labels_missing",
            severity=Severity.INFO,
            text="GPU feature discovery's labels are gone while the node offers the same as before: shown as last known.",
        )
