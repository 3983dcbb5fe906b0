"""A node has fewer physical GPUs than it should: than declared, than the most ever seen on its machine type, or than ordered."""

from __future__ import annotations

import msgspec

from fleet.domain.devices import missing_devices
from fleet.domain.findings import Evidence, Finding, RuleResult
from fleet.domain.lint.answers import answer, counted_one_by_one, from_remarks, unknown
from fleet.domain.rules import Rule
from fleet.domain.subject import NodeSubject

ID = "expected_not_met"
_REMEDY = (
    "Compare with the machine itself: `nvidia-smi -L` on the node, and `lspci -d 10de:` for cards the driver does not see.\n"
    "A card that lspci does not list fell off the bus: reboot the machine, then have it looked at.\n"
    "If the machine is meant to have fewer, declare its number in Muster."
)
_BY_REMARK = {"fewer_than_ordered": _REMEDY}


def check(subject: NodeSubject) -> RuleResult:
    devices, memory = subject.devices, subject.memory
    findings = []
    counted = None if devices.physical_is_lower_bound else devices.physical
    missing = missing_devices(counted, memory.expected)
    if missing is not None:
        how = memory.expected_source if memory.expected_source in ("declared", "ordered") else "most seen on this machine type"
        findings.append(
            Finding(
                rule=ID,
                severity=missing.severity,
                text=missing.text,
                evidence=(
                    Evidence(devices.physical_source or "node", "physical GPUs", str(counted)),
                    Evidence("expected", how, str(memory.expected)),
                ),
                remedy=_REMEDY,
                rung="gpu_present",
            )
        )
    else:
        # One key with the other finding: a node that lacks cards lacks them once, whoever says how many it should have.
        ordered = from_remarks(subject, ID, _BY_REMARK, rung="gpu_present")
        findings += [msgspec.structs.replace(one, key="", subject="node") for one in ordered]
    if findings:
        return answer(ID, findings)
    if counted is None:
        return unknown(ID, "How many physical GPUs there are is not known.")
    if not counted_one_by_one(subject):
        return unknown(ID, "Nobody looked at the cards: their number is only what was ordered, offered or known before.")
    if memory.expected is None:
        return unknown(ID, "Nobody has said or seen yet how many GPUs this machine type has.")
    return answer(ID, ())


RULE = Rule(id=ID, title="Fewer GPUs than expected", needs=("nodes", "resource_slices"), check=check)
