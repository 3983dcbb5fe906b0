"""How a lint rule answers: short ways to a RuleResult, and findings made of remarks that were judged already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.domain import labels
from fleet.domain.findings import Evidence, Finding, Remark, RuleResult, Severity, Status
from fleet.domain.requests import gpu_requests
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot
from fleet.domain.sources import gfd
from fleet.domain.subject import NodeSubject

_LOOKED = frozenset({"label", "resource_slice", "dcgm"})
_RESOURCES = frozenset({"capacity", "allocatable"})


def answer(rule: str, findings: Iterable[Finding], *, blind: Iterable[str] = ()) -> RuleResult:
    """`fail` where a finding is critical or worse, `warn` where one is less, else `pass`. With keys it is blind to and no
    finding it is `unknown`: what it saw was well, but it did not see everything (domain.rules.could_look)."""
    found, unseen = tuple(findings), tuple(blind)
    if not found and unseen:
        return RuleResult(rule=rule, status=Status.UNKNOWN, reason="Not everything could be seen.", blind=unseen)
    if not found:
        return RuleResult(rule=rule, status=Status.PASS)
    worst = max(finding.severity.rank for finding in found)
    status = Status.FAIL if worst >= Severity.CRITICAL.rank else Status.WARN
    return RuleResult(rule=rule, status=status, findings=found, blind=unseen)


def unknown(rule: str, reason: str) -> RuleResult:
    return RuleResult(rule=rule, status=Status.UNKNOWN, reason=reason)


def not_enabled(rule: str, reason: str) -> RuleResult:
    return RuleResult(rule=rule, status=Status.NOT_ENABLED, reason=reason)


def not_applicable(rule: str, reason: str) -> RuleResult:
    return RuleResult(rule=rule, status=Status.NOT_APPLICABLE, reason=reason)


def waiting(rule: str, reason: str) -> RuleResult:
    return RuleResult(rule=rule, status=Status.WAITING, reason=reason)


def from_remarks(subject: NodeSubject, rule: str, remedies: Mapping[str, str], *, rung: str = "") -> list[Finding]:
    """One finding for each remark of the node whose id is in `remedies`: the same sentence and severity, with what to do.

    Its key is the remark's id and the resource it is about, so that it stays the same finding while its words change.
    """
    found: dict[str, Finding] = {}
    for remark in subject.devices.remarks:
        if remark.id not in remedies:
            continue
        resource = _resource_of(remark)
        key = f"{remark.id}:{resource}" if resource else remark.id
        while key in found:
            key += "+"
        found[key] = Finding(
            rule=rule,
            severity=remark.severity,
            text=remark.text,
            key=key,
            subject="resource" if resource else "node",
            evidence=remark.evidence or (Evidence("node", "name", subject.node.name),),
            remedy=remedies[remark.id].replace("{node}", subject.node.name),
            rung=rung,
        )
    return list(found.values())


def _resource_of(remark: Remark) -> str:
    """The resource a remark is about, where its evidence names exactly one."""
    names = {one.key for one in remark.evidence if one.source in _RESOURCES}
    return names.pop() if len(names) == 1 else ""


def labels_of(subject: NodeSubject) -> gfd.Gfd:
    """GFD's labels; nothing is found where `nvidia.com/gpu.present=false` says they are leftovers.

    Several rules ask for the same node one after the other: the newest answer is kept.
    """
    global _newest
    node, told = _newest
    if node is not subject.node:
        gone = subject.node.labels.get(labels.GPU_PRESENT) == "false"
        told = gfd.Gfd() if gone else gfd.read(subject.node.labels)
        _newest = (subject.node, told)
    return told


_newest: tuple[NodeSnapshot | None, gfd.Gfd] = (None, gfd.Gfd())


def asks_for_gpu(pod: PodSnapshot) -> bool:
    """Whether the pod asks for a GPU or a part of one, by resource or by claim. Most pods on a GPU node ask for nothing."""
    return bool(pod.claims) or (any(container.requests for container in pod.containers) and bool(gpu_requests(pod)))


def counted_one_by_one(subject: NodeSubject) -> bool:
    """Whether somebody looked at the devices themselves, and not only at what was ordered, offered or known before."""
    return subject.devices.physical is not None and subject.devices.physical_source in _LOOKED


def owner_of(pod: PodSnapshot) -> str:
    """`namespace/Kind/name` of what made the pod, or `namespace/Pod/name` of one that stands alone: it outlives the pod."""
    if pod.owner_kind and pod.owner_name:
        return f"{pod.namespace}/{pod.owner_kind}/{pod.owner_name}"
    return f"{pod.namespace}/Pod/{pod.name}"
