"""Rung 1: the node has the expected number of GPUs."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain import labels, pci
from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.quantities import plural
from fleet.domain.readiness.node_evidence import labels_only_away, steps
from fleet.domain.readiness.types import Rung, RungResult

_MOST_EVIDENCE = 4


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns pass where there is evidence of GPUs (PCI vendor, labels, slots, ResourceSlices) and as many as expected.

    Expected is the declared number, else the most ever counted on the same machine type and product, but at most what this
    machine was ordered with. A lower bound never fails for being low; an unknown number never meets the expectation.
    """
    devices, expected = subject.devices, subject.history.expected
    proof = _proof(subject)
    counted = devices.physical
    if not proof and not counted and not subject.history.previous:
        if expected:
            reason = f"No evidence of GPUs on this node any more: no PCI device, no label, no slot. {_should(subject)}"
            return RUNG.says(Status.FAIL, reason, _asked(subject), _REMEDY_GONE)
        return RUNG.says(Status.UNKNOWN, "No evidence of GPUs on this node.", (), _REMEDY_GONE)
    if labels_only_away(subject, RUNG.id):
        reason = "GPU feature discovery's labels, which count the GPUs, are temporarily missing."
        return RUNG.says(Status.UNKNOWN, reason, proof)
    if subject.component("dra-driver") and not subject.dra_devices:
        reason = "The DRA driver runs on this node and publishes no device: the number of its GPUs is unknown."
        return RUNG.says(Status.UNKNOWN, reason, proof)
    if counted is None:
        why = next((finding.text for finding in devices.findings if finding.rule == "physical_unknown"), "")
        reason = why or "The number of GPUs is unknown."
        if expected is None:
            return RUNG.says(Status.PASS, f"There are GPUs. {why}".strip(), proof)
        return RUNG.says(Status.UNKNOWN, f"{reason} {_should(subject)}", (*proof, *_asked(subject)), _REMEDY_COUNT)
    number = Evidence(devices.physical_source, "physical GPUs", str(counted))
    if expected is not None and counted < expected:
        evidence = (number, *_asked(subject), *proof)
        if devices.physical_is_lower_bound:
            reason = f"At least {plural(counted, 'GPU')} can be counted from the advertised resources. {_should(subject)}"
            return RUNG.says(Status.UNKNOWN, reason, evidence, _REMEDY_COUNT)
        lost = expected - counted
        reason = f"{plural(lost, 'GPU')} of {expected} {'is' if lost == 1 else 'are'} missing: only {counted} detected."
        return RUNG.says(Status.FAIL, reason, evidence, _REMEDY_LOST)
    ordered = next((finding for finding in devices.findings if finding.rule == "fewer_than_ordered"), None)
    if ordered is not None and subject.history.expected_source != "declared":
        return RUNG.says(Status.FAIL, ordered.text, (number, *ordered.evidence), _REMEDY_LOST)
    declared = _asked(subject) if subject.history.expected_source == "declared" else ()
    unreported = [finding.evidence[0] for result in health if result.rule == "gpu_lost" for finding in result.findings]
    if unreported:
        source = devices.physical_source or "count"
        reason = f"{plural(counted, 'GPU')} by {source}, but {len(unreported)} of them no longer reported."
        return RUNG.says(Status.WARN, reason, (number, *unreported[:_MOST_EVIDENCE], *declared), _REMEDY_LOST)
    at_least = "At least " if devices.physical_is_lower_bound else ""
    return RUNG.says(Status.PASS, f"{at_least}{plural(counted, 'GPU')}: none is missing.", (number, *declared, *proof))


def _proof(subject: NodeSubject) -> tuple[Evidence, ...]:
    """Returns the evidence of GPUs: the PCI bus, the operator's label, then the source of their number."""
    result = subject.node.labels
    rows = [Evidence("label", key, "true") for key in sorted(result) if pci.pci_gpu_vendor(key) and result[key] == "true"]
    rows += [item for item in subject.devices.evidence if _proves(item)]
    return tuple(rows[:_MOST_EVIDENCE]) or gpu_evidence(subject.node, subject.dra_devices)[:_MOST_EVIDENCE]


def _proves(evidence: Evidence) -> bool:
    if evidence.source in ("capacity", "allocatable", "resource_slice"):
        return evidence.value != "0"
    return evidence.key in _COUNTS and evidence.value not in ("", "0", "false")


_COUNTS = frozenset(
    {labels.GPU_PRESENT, labels.GPU_PRODUCT, labels.GPU_COUNT, labels.GKE_ACCELERATOR, labels.GKE_ACCELERATOR_COUNT,
     labels.AMD_PRODUCT, labels.INTEL_DEVICE_COUNT, labels.GAUDI_PRODUCT}
)  # fmt: skip


def _asked(subject: NodeSubject) -> tuple[Evidence, ...]:
    history = subject.history
    return (
        ()
        if history.expected is None
        else (Evidence(history.expected_source or "learned", "expected GPUs", str(history.expected)),)
    )


def _should(subject: NodeSubject) -> str:
    history = subject.history
    source = _SOURCES.get(history.expected_source, "the most seen on this machine type")
    return f"Expected: {plural(history.expected or 0, 'GPU')}, {source}."


_SOURCES = {"declared": "as declared", "ordered": "as ordered"}


_REMEDY_LOST = steps(
    "Check on the node whether the PCI bus still lists every GPU: lspci -d 10de:",
    "Search its kernel log for NVRM and Xid 79 (fallen off the bus): reboot the node, and replace the GPU if it does not return.",
    "If the machine has fewer GPUs, declare their number on its page.",
)
_REMEDY_GONE = steps(
    "Check that node feature discovery runs on the node and still labels its PCI devices.",
    "If the GPUs were removed, declare 0 GPUs on the node's page or remove the node.",
)
_REMEDY_COUNT = steps(
    "Run GPU feature discovery on the node: its gpu.count label counts the GPUs.",
    "Or declare the number of GPUs on the node's page.",
)

RUNG = Rung(
    id="gpu_present",
    number=1,
    title="GPUs present",
    broken="GPUs are missing from the node",
    needs=("nodes", "resource_slices"),
    check=check,
)
