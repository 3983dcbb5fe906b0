"""NVLink errors: counters of failed transfers that grow."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.catalog import metrics, thresholds
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.health.node_measurements import RUNG, SampledGpu, by_gpu, is_one_of

ID = "nvlink"
_METRICS = ("nvlink_crc_flit", "nvlink_crc_data", "nvlink_replay", "nvlink_recovery")


def check(subject: NodeSubject) -> RuleResult:
    """Returns pass where none of the four counters grows; GPUs without NVLink have none of them."""
    if is_one_of(subject.devices.product, thresholds.load().nvlink.no_nvlink):
        return RuleResult(rule=ID, status=Status.NOT_APPLICABLE, reason="These GPUs have no NVLink.")
    return by_gpu(subject, ID, _METRICS, _look)


def _look(gpu: SampledGpu) -> Iterable[Finding] | None:
    most = thresholds.load().nvlink.errors
    grown = {metric: gpu.grown(metric) for metric in _METRICS}
    bad = [metric for metric, more in grown.items() if more is not None and more[0] > most]
    if not bad:
        return None if None in grown.values() else []
    titles = [metrics.by_id()[metric].title for metric in bad]
    return [
        Finding(
            rule=ID,
            severity=Severity.WARNING,
            text=f"{gpu.short} counts new NVLink errors.",
            key=gpu.uuid,
            subject="gpu",
            evidence=tuple(Evidence("dcgm", title, "grows") for title in titles),
            remedy="Look for Xid 74 or 144 to 150 in the kernel log; run dcgmi nvlink -e on the node.\n"
            "If it continues, reset the GPU and its peers, then have the link checked.",
            rung=RUNG,
        )
    ]


RULE = Rule(id=ID, title="NVLink errors", severity=Severity.WARNING, needs=(), check=check)
