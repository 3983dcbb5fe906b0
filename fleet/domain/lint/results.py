"""Results of lint rules, and findings of rules that evaluate the inspected devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fleet.domain import labels
from fleet.domain.devices.sources import gfd
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.pod_resources import wants_gpu
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot

_LOOKED = frozenset({"label", "resource_slice", "dcgm", "annotation"})
_RESOURCES = frozenset({"capacity", "allocatable"})


def answer(rule: str, findings: Iterable[Finding], *, blind: Iterable[str] = ()) -> RuleResult:
    """Returns `fail` where a finding is critical or worse, `warn` where one is less, else `pass`.

    With blind keys and no finding it is `unknown`: not everything was checked (evaluation.rules.could_look).
    """
    result, unseen = tuple(findings), tuple(blind)
    if not result and unseen:
        return RuleResult(rule=rule, status=Status.UNKNOWN, reason="Not all of the evidence could be read.", blind=unseen)
    if not result:
        return RuleResult(rule=rule, status=Status.PASS)
    worst = max(finding.severity.rank for finding in result)
    status = Status.FAIL if worst >= Severity.CRITICAL.rank else Status.WARN
    return RuleResult(rule=rule, status=status, findings=result, blind=unseen)


def unknown(rule: str, reason: str) -> RuleResult:
    return RuleResult(rule=rule, status=Status.UNKNOWN, reason=reason)


def not_enabled(rule: str, reason: str) -> RuleResult:
    return RuleResult(rule=rule, status=Status.NOT_ENABLED, reason=reason)


def not_applicable(rule: str, reason: str) -> RuleResult:
    return RuleResult(rule=rule, status=Status.NOT_APPLICABLE, reason=reason)


def waiting(rule: str, reason: str) -> RuleResult:
    return RuleResult(rule=rule, status=Status.WAITING, reason=reason)


def from_inspection(subject: NodeSubject, rule: str, remedies: Mapping[str, str], *, rung: str = "") -> list[Finding]:
    """Returns the inspection's findings that `remedies` names as findings of this rule, with their remedy.

    The key is the inspection's rule and the resource, so that it stays the same finding while its text changes.
    """
    result: dict[str, Finding] = {}
    for finding in subject.devices.findings:
        if finding.rule not in remedies:
            continue
        resource = _resource_of(finding)
        key = f"{finding.rule}:{resource}" if resource else finding.rule
        while key in result:
            key += "+"
        result[key] = msgspec.structs.replace(
            finding,
            rule=rule,
            key=key,
            subject="resource" if resource else "node",
            evidence=finding.evidence or (Evidence("node", "name", subject.node.name),),
            remedy=remedies[finding.rule].replace("{node}", subject.node.name),
            rung=rung,
        )
    return list(result.values())


def _resource_of(finding: Finding) -> str:
    """Returns the resource of a finding, where its evidence names exactly one."""
    names = {item.key for item in finding.evidence if item.source in _RESOURCES}
    return names.pop() if len(names) == 1 else ""


def labels_of(subject: NodeSubject) -> gfd.Gfd:
    """Returns GFD's labels; empty where `nvidia.com/gpu.present=false` marks them as stale.

    Several rules read them for the same node one after the other: the newest result is cached.
    """
    global _newest
    node, details = _newest
    if node is not subject.node:
        gone = subject.node.labels.get(labels.GPU_PRESENT) == "false"
        details = gfd.Gfd() if gone else gfd.read(subject.node.labels)
        _newest = (subject.node, details)
    return details


_newest: tuple[NodeSnapshot | None, gfd.Gfd] = (None, gfd.Gfd())


def asks_for_gpu(pod: PodSnapshot) -> bool:
    """Returns whether the pod requests a GPU or a part of one, by resource, claim or annotation."""
    return wants_gpu(pod)


def counted_one_by_one(subject: NodeSubject) -> bool:
    """Returns whether the devices themselves were counted, not only ordered, advertised or last known ones."""
    return subject.devices.physical is not None and subject.devices.physical_source in _LOOKED


def owner_of(pod: PodSnapshot) -> str:
    """Returns `namespace/Kind/name` of the pod's owner, or `namespace/Pod/name` without one. It outlives the pod."""
    if pod.owner_kind and pod.owner_name:
        return f"{pod.namespace}/{pod.owner_kind}/{pod.owner_name}"
    return f"{pod.namespace}/Pod/{pod.name}"
