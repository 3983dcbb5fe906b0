"""Compares what Muster says of a case with what is right: a list means "one of these", null is unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.evaluation.node_evaluation import NodeEvaluation
from fleet.domain.findings import Finding
from fleet.domain.health.measurements import measure
from tests.cases.runs import Outcome

_FIELDS = ("sharing", "partitioning", "replicas", "mode", "product", "gpu_memory_mib", "family", "physical")


def differences(case: Mapping[str, Any], outcome: Outcome) -> list[str]:
    """Returns one line per answer that is wrong; empty where all are right."""
    wanted, nodes = case["expected"], {node.node.name: node for node in outcome.evaluation.nodes}
    name = wanted.get("node") or case["objects"]["nodes"][0]["metadata"]["name"]
    wrong = [f"{other} is listed as a GPU node" for other in wanted.get("other_nodes_absent", []) if other in nodes]
    if wanted.get("node_absent"):
        return [*wrong, *([f"{name} is listed as a GPU node"] if name in nodes else [])]
    if name not in nodes:
        return [*wrong, "is not listed as a GPU node"]
    node = nodes[name]
    cluster = [finding for result in outcome.evaluation.results for finding in result.findings]
    answer = [finding for item in nodes.values() for result in item.results for finding in result.findings] + cluster
    return [
        *wrong,
        *_of_devices(wanted, node.devices),
        *_of_readiness(wanted, node),
        *_of_findings(wanted, answer),
        *_of_gpus(wanted, nodes, outcome),
    ]


def _fits(value: object, wanted: object) -> bool:
    return value in wanted if isinstance(wanted, list) else value == wanted


def _of_devices(wanted: Mapping[str, Any], devices: NodeDevices) -> Iterator[str]:
    for field in _FIELDS:
        if field in wanted and not _fits(getattr(devices, field), wanted[field]):
            yield f"{field} {getattr(devices, field)!r}, right: {wanted[field]!r}"
    for field, right in wanted.get("slots", {}).items():
        if not _fits(getattr(devices.slots, field), right):
            yield f"slots.{field} {getattr(devices.slots, field)}, right: {right}"
    resources = {slots.name: slots.capacity for slots in devices.resources}
    for name, right in wanted.get("resources", {}).items():
        if not _fits(resources.get(name), right):
            yield f"resource {name} {resources.get(name)}, right: {right}"
    yield from (f"resource {name} is counted as slots" for name in wanted.get("resources_absent", []) if name in resources)
    if "mig" in wanted and (devices.mig_instances or {}) != wanted["mig"]:
        yield f"mig_instances {devices.mig_instances}, right: {wanted['mig']}"
    if devices.mode == wanted.get("mode_not"):
        yield f"mode {devices.mode!r}"
    if wanted.get("isolation_not") and wanted["isolation_not"] in devices.isolation:
        yield f"isolation {devices.isolation!r}"


def _of_readiness(wanted: Mapping[str, Any], node: NodeEvaluation) -> Iterator[str]:
    readiness, rungs = node.readiness, {rung.id: rung for rung in node.readiness.rungs}
    verdict = f"verdict {readiness.verdict} ({readiness.broken_rung}: {readiness.reason})"
    if "verdict" in wanted and not _fits(readiness.verdict, wanted["verdict"]):
        yield f"{verdict}, right: {wanted['verdict']}"
    if readiness.verdict in wanted.get("verdict_not", []):
        yield f"{verdict}, wrong: {wanted['verdict_not']}"
    if "broken_rung" in wanted and not _fits(readiness.broken_rung or None, wanted["broken_rung"]):
        yield f"{verdict}, right rung: {wanted['broken_rung']}"
    for name, right in wanted.get("rungs", {}).items():
        if not _fits(rungs[name].status, right):
            yield f"rung {name} {rungs[name].status} ({rungs[name].reason}), right: {right}"


def _of_findings(wanted: Mapping[str, Any], findings: list[Finding]) -> Iterator[str]:
    rules = {finding.rule for finding in findings}
    for name in wanted.get("findings", []):
        if rules.isdisjoint(name if isinstance(name, list) else [name]):
            yield f"no finding {name}, only {sorted(rules)}"
    for finding in findings:
        if finding.rule in wanted.get("no_findings", []):
            yield f"finding {finding.rule}: {finding.text}"
    for code in wanted.get("xids", []):
        if not any(str(code) in str(finding) for finding in findings):
            yield f"Xid {code} in no finding"


def _of_gpus(wanted: Mapping[str, Any], nodes: Mapping[str, NodeEvaluation], outcome: Outcome) -> Iterator[str]:
    rows = sum(len(node.devices.cards) for node in nodes.values())
    if "cards" in wanted and rows != wanted["cards"]:
        yield f"{rows} GPUs are listed, right: {wanted['cards']}"
    now, most = outcome.snapshot.taken_at, wanted.get("no_value_over", {})
    for sample in outcome.snapshot.telemetry.samples if most else ():
        for measured in measure(sample, None, now=now, stale_after=timedelta(minutes=5)):
            if measured.value is not None and measured.value > most.get(measured.metric.id, float("inf")):
                yield f"{measured.metric.id} of {sample.uuid} is {measured.value}"
