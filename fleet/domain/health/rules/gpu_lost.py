"""A GPU that is no longer reported although its exporter answers: it fell off the bus, or was removed."""

from __future__ import annotations

from datetime import UTC, datetime

from fleet.domain.catalog.xids import ACTIONS
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import RUNG, answer, exporter_answers, gpus, short_of, unheld_uuids, unmeasured

ID = "gpu_lost"
_DRA_TAINT = "gpu.nvidia.com/gpu-lost"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def check(subject: NodeSubject) -> RuleResult:
    """Compares known UUIDs with those of this run. Where as many GPUs report as should, the missing ones were replaced.

    After a boot, missing GPUs are waited for. When all report, there is nothing to wait for: an earlier finding is resolved.
    """
    tainted = [
        _finding(device.uuid or device.name, Evidence("resource_slice", "device taint", _DRA_TAINT))
        for device in subject.dra_devices
        if any(taint.key == _DRA_TAINT for taint in device.taints)
    ]
    quiet = unmeasured(subject)
    if quiet is not None:
        return answer(subject, ID, tainted, lack=quiet)
    lost, reason = _lost(subject), short_of(subject, len(_present(subject)))
    if (lost or reason) and subject.booted_within(subject.cluster.history.boot_grace):
        return answer(subject, ID, tainted, lack=(Status.WAITING, "The node has just started; its GPUs may still come up."))
    named = {finding.key for finding in tainted}
    result = tainted + [_finding(uuid, Evidence("dcgm", uuid, "no longer reported")) for uuid in lost if uuid not in named]
    return answer(subject, ID, result, lack=(Status.UNKNOWN, reason) if reason else None)


def _lost(subject: NodeSubject) -> list[str]:
    """Returns as many UUIDs as GPUs are missing, those seen last first: the others were replaced long ago."""
    present = _present(subject)
    if exporter_answers(subject):  # a series whose samples are old is a GPU that is there
        present |= {sample.uuid for sample in subject.samples if sample.is_measured}
    present |= unheld_uuids(subject.devices, subject.dra_devices)
    seen = {sample.uuid: sample.at for sample in sorted(subject.history.samples, key=lambda sample: sample.at)}
    known = set(subject.history.known_uuids) | set(seen)
    missing = sorted(known - present, key=lambda uuid: (seen.get(uuid, _LONG_AGO), uuid), reverse=True)
    expected = subject.history.expected
    if expected is None:
        expected = subject.devices.physical
    if expected is None:
        return missing[: max(len(missing) - len(present - known), 0)]
    return missing[: max(expected - len(present), 0)]


def _present(subject: NodeSubject) -> set[str]:
    return {gpu.uuid for gpu in gpus(subject) if gpu.is_present}


def _finding(uuid: str, evidence: Evidence) -> Finding:
    return Finding(
        rule=ID,
        severity=Severity.FATAL,
        text=f"{uuid[:12]} is lost: it reported before and no longer does.",
        key=uuid,
        subject="gpu",
        evidence=(evidence,),
        remedy=f"Search for Xid 79: dmesg | grep NVRM\n{ACTIONS['reboot']}\nReplace the GPU if it does not return.",
        rung=RUNG,
    )


RULE = Rule(id=ID, title="GPU lost", severity=Severity.FATAL, needs=(), check=check)
