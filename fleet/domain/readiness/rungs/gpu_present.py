"""Rung 1: the node has its GPUs, as many as it should."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.gpu_nodes import gpu_evidence
from fleet.domain.readiness.seen import labels_only_away, steps
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.remarks.words import plural
from fleet.domain.subject import NodeSubject

_MOST_EVIDENCE = 4


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """What proves a GPU (PCI vendor, labels, slots, ResourceSlices), and their number against the expected one.

    Expected is what was declared, else the most ever seen on the same machine type and product, but no more than this very
    machine was ordered with. A number that is only a
    lower bound proves nothing by being low; one that nobody can tell meets no expectation.
    """
    devices, expected = subject.devices, subject.memory.expected
    proof = _proof(subject)
    counted = devices.physical
    if not proof and not counted and not subject.memory.previous:
        if expected:
            reason = f"Nothing tells of GPUs on this node any more: no PCI device, no label, no slot. {_should(subject)}"
            return RUNG.says(Status.FAIL, reason, _asked(subject), _REMEDY_GONE)
        return RUNG.says(Status.UNKNOWN, "Nothing tells of GPUs on this node.", (), _REMEDY_GONE)
    if labels_only_away(subject, RUNG.id):
        reason = "GPU feature discovery's labels, which count the cards, are gone for the moment."
        return RUNG.says(Status.UNKNOWN, reason, proof)
    if subject.component("dra-driver") and not subject.dra_devices:
        reason = "The DRA driver runs on this node and publishes no device: what it would count is not known."
        return RUNG.says(Status.UNKNOWN, reason, proof)
    if counted is None:
        why = next((remark.text for remark in devices.remarks if remark.id == "physical_unknown"), "")
        reason = why or "There are GPUs, but nobody can tell how many."
        if expected is None:
            return RUNG.says(Status.PASS, f"There are GPUs. {why}".strip(), proof)
        return RUNG.says(Status.UNKNOWN, f"{reason} {_should(subject)}", (*proof, *_asked(subject)), _REMEDY_COUNT)
    number = Evidence(devices.physical_source, "physical GPUs", str(counted))
    if expected is not None and counted < expected:
        evidence = (number, *_asked(subject), *proof)
        if devices.physical_is_lower_bound:
            reason = f"At least {plural(counted, 'GPU')} can be told from what is offered. {_should(subject)}"
            return RUNG.says(Status.UNKNOWN, reason, evidence, _REMEDY_COUNT)
        lost = expected - counted
        reason = f"{plural(lost, 'GPU')} of {expected} {'is' if lost == 1 else 'are'} missing: only {counted} can be seen."
        return RUNG.says(Status.FAIL, reason, evidence, _REMEDY_LOST)
    ordered = next((remark for remark in devices.remarks if remark.id == "fewer_than_ordered"), None)
    if ordered is not None and subject.memory.expected_source != "declared":
        return RUNG.says(Status.FAIL, ordered.text, (number, *ordered.evidence), _REMEDY_LOST)
    declared = _asked(subject) if subject.memory.expected_source == "declared" else ()
    at_least = "At least " if devices.physical_is_lower_bound else ""
    return RUNG.says(Status.PASS, f"{at_least}{plural(counted, 'GPU')}: none is missing.", (number, *declared, *proof))


def _proof(subject: NodeSubject) -> tuple[Evidence, ...]:
    """What proves GPUs: the bus, the operator's word, then what they were counted by."""
    told = subject.node.labels
    found = [Evidence("label", key, "true") for key in sorted(told) if labels.pci_gpu_vendor(key) and told[key] == "true"]
    found += [one for one in subject.devices.evidence if _proves(one)]
    return tuple(found[:_MOST_EVIDENCE]) or gpu_evidence(subject.node, subject.dra_devices)[:_MOST_EVIDENCE]


def _proves(one: Evidence) -> bool:
    if one.source in ("capacity", "allocatable", "resource_slice"):
        return one.value != "0"
    return one.key in _COUNTS and one.value not in ("", "0", "false")


_COUNTS = frozenset(
    {labels.GPU_PRESENT, labels.GPU_PRODUCT, labels.GPU_COUNT, labels.GKE_ACCELERATOR, labels.GKE_ACCELERATOR_COUNT,
     labels.AMD_PRODUCT, labels.INTEL_DEVICE_COUNT, labels.GAUDI_PRODUCT}
)  # fmt: skip


def _asked(subject: NodeSubject) -> tuple[Evidence, ...]:
    memory = subject.memory
    return (
        () if memory.expected is None else (Evidence(memory.expected_source or "learned", "expected GPUs", str(memory.expected)),)
    )


def _should(subject: NodeSubject) -> str:
    memory = subject.memory
    says = _SAYS.get(memory.expected_source, "machines of this kind have")
    return f"It should have {plural(memory.expected or 0, 'GPU')}: so many {says}."


_SAYS = {"declared": "somebody declared", "ordered": "it was ordered with"}


_REMEDY_LOST = steps(
    "Look on the node whether the PCI bus still shows every card: lspci -d 10de:",
    "Search its kernel log for NVRM and Xid 79 (fallen off the bus): such a card needs a reboot, and a repair if it stays away.",
    "If the machine was built with fewer cards, declare their number on its page.",
)
_REMEDY_GONE = steps(
    "Check that node feature discovery runs on the node and still labels its PCI devices.",
    "If the cards were taken out, declare 0 GPUs on the node's page or remove the node.",
)
_REMEDY_COUNT = steps(
    "Run GPU feature discovery on the node: its gpu.count label counts the cards.",
    "Or declare the number of cards on the node's page.",
)

RUNG = Rung(
    id="gpu_present",
    number=1,
    title="GPUs present",
    broken="GPUs are missing from the node",
    needs=("nodes", "resource_slices"),
    check=check,
)
