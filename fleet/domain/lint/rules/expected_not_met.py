"""A node has fewer physical GPUs than expected.

Than declared, than the most ever counted on its machine type, or than ordered.
"""

from __future__ import annotations

import msgspec

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, counted_one_by_one, from_inspection, unknown
from fleet.domain.quantities import plural

ID = "expected_not_met"
_REMEDY = (
    "Compare with the machine itself: `nvidia-smi -L` on the node, and `lspci -d 10de:` for GPUs that the driver does not see.\n"
    "A GPU that lspci does not list fell off the bus: reboot the machine, then replace the GPU if it does not return.\n"
    "If the machine is meant to have fewer, declare its number in Muster."
)
_REMEDIES = {"fewer_than_ordered": _REMEDY}


def check(subject: NodeSubject) -> RuleResult:
    devices, history = subject.devices, subject.history
    findings = []
    counted = None if devices.physical_is_lower_bound else devices.physical
    if counted is not None and history.expected is not None and counted < history.expected:
        how = history.expected_source if history.expected_source in ("declared", "ordered") else "most seen on this machine type"
        findings.append(
            Finding(
                rule=ID,
                severity=Severity.CRITICAL,
                text=f"{plural(history.expected - counted, 'GPU')} of {history.expected} missing: only {counted} detected.",
                evidence=(
                    Evidence(devices.physical_source or "node", "physical GPUs", str(counted)),
                    Evidence("expected", how, str(history.expected)),
                ),
                remedy=_REMEDY,
                rung="gpu_present",
            )
        )
    else:
        # One key with the other finding: a node that lacks GPUs lacks them once, whatever the source of the expected number.
        ordered = from_inspection(subject, ID, _REMEDIES, rung="gpu_present")
        findings += [msgspec.structs.replace(item, key="", subject="node") for item in ordered]
    if findings:
        return answer(ID, findings)
    if counted is None:
        return unknown(ID, "The number of physical GPUs is unknown.")
    if not counted_one_by_one(subject):
        return unknown(ID, "The GPUs were not counted: only an ordered, advertised or last known number exists.")
    if history.expected is None:
        return unknown(ID, "The number of GPUs of this machine type is not declared or learned yet.")
    return answer(ID, ())


RULE = Rule(id=ID, title="Fewer GPUs than expected", severity=Severity.CRITICAL, needs=("nodes", "resource_slices"), check=check)
