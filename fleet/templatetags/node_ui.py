"""Tags of a node's own page: `{% load node_ui %}`. They turn what is remembered of one node into what components take."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import template

from fleet.templatetags import drawing, formats, remedies, words

register = template.Library()


@register.simple_tag
def drawings(info: Mapping[str, Any] | None) -> list[drawing.Drawing]:
    """The node's slots as drawings for components/_cards.html."""
    return drawing.drawings(info or {})


# --- sentences ----------------------------------------------------------------------------------------------------

_SAID = {
    "partial": "Some of its slots are not allocatable",
    "none": "It advertises no GPU",
    "not_ready": "The kubelet is not ready",
    "cordoned": "Cordoned: the scheduler puts nothing new here",
    "unknown": "What it offers is unknown",
}


@register.simple_tag
def headline(node: Any, stack_pods: Sequence[Any] = (), stale: bool = False) -> dict[str, Any]:
    """What stands first on a node's page: what is seen, since when, what to do."""
    remarks = [one for one in (node.info or {}).get("remarks") or () if one.get("text")]
    if node.removed_at is not None:
        return {
            "look": "excluded",
            "shape": "dash",
            "title": "This node is gone",
            "reason": "Its cluster no longer lists it. What stands here is what it last said.",
            "since": node.removed_at,
        }
    known = words.word("state", node.state)
    look, shape = known.look, known.shape
    serious = [one for one in remarks if one["severity"] in ("warning", "critical", "fatal")]
    if node.state == "full" and serious:
        look, shape = "degraded", "triangle"
    title = _SAID.get(node.state) or _advertised(node)
    reason = node.reason
    if look != "ready" and reason and node.state != "cordoned":
        title, reason = reason.rstrip("."), ""
    return {
        "look": look,
        "shape": shape,
        "title": title,
        "reason": reason if look != "ready" else "",
        "since": node.state_since,
        "note": "Last known: its cluster cannot be read." if stale else "",
        "todo": remedies.steps(node, [one["id"] for one in remarks], stack_pods),
    }


def _advertised(node: Any) -> str:
    if node.physical is None:
        return "Everything this node's devices predict is advertised"
    cards = f"All {formats.number(node.physical)} physical GPUs are" if node.physical != 1 else "Its physical GPU is"
    return f"{cards} advertised"


@register.simple_tag
def other_remarks(node: Any) -> list[Mapping[str, Any]]:
    """The remarks of a node that its headline does not say already."""
    remarks = (node.info or {}).get("remarks") or ()
    return [one for one in remarks if one["text"].rstrip(".") != (node.reason or "").rstrip(".")]


_SOURCES = {
    "resource_slice": "the node's ResourceSlices",
    "previous": "an earlier reading",
    "label": "its labels",
    "cloud": "the cloud's labels",
    "config": "the device plugin's configuration",
    "capacity": "its capacity",
}


@register.filter
def source_words(source: str) -> str:
    """Who counted the cards, in words."""
    return _SOURCES.get(source, source.replace("_", " ") or "nobody's word")


_TAINTS = {
    "NoSchedule": "only pods that tolerate it land here",
    "PreferNoSchedule": "pods that do not tolerate it land here last",
    "NoExecute": "pods that do not tolerate it are driven away",
}


@register.filter
def taint_words(effect: str) -> str:
    """What a taint's effect does."""
    return _TAINTS.get(effect, "")


@register.simple_tag
def key_labels(labels: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The labels that tell most about the GPUs: those with a meaning, without the many that only switch parts of the stack."""
    told = [row for row in labels if row[2] and not row[0].startswith(_SWITCHES) and not _OF_ONE_PROFILE.search(row[0])]
    return sorted(told, key=lambda row: ("nvidia.com" not in row[0], row[0]))[:MOST_LABELS]


MOST_LABELS = 18
_SWITCHES = ("nvidia.com/gpu.deploy.",)
_OF_ONE_PROFILE = re.compile(r"nvidia\.com/mig-.+\.(?!count)")


@register.simple_tag
def pod_status(pod: Any) -> dict[str, str]:
    """A pod's state as a status with words: ready and finished pods are well, pending ones wait, the rest says its reason."""
    terminating = bool((pod.snapshot or {}).get("deleting_since"))
    if terminating:
        return {"status": "waiting", "text": "Terminating"}
    if pod.phase == "Succeeded":
        return {"status": "not_applicable", "text": "Finished"}
    if pod.ready:
        return {"status": "pass", "text": "Ready" if pod.component else "Running"}
    if pod.phase == "Failed" or pod.reason in _BAD_REASONS:
        return {"status": "fail", "text": pod.reason or "Failed"}
    if pod.phase in ("Pending", "Running"):
        return {"status": "waiting", "text": pod.reason or ("Not ready yet" if pod.phase == "Running" else "Pending")}
    return {"status": "unknown", "text": pod.reason or pod.phase or "Unknown"}


_BAD_REASONS = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "OOMKilled",
        "Error",
        "UnexpectedAdmissionError",
    }
)


# Kubernetes' own pressures, and the problems that node-problem-detector reports.
_BAD_WHEN_TRUE = ("Pressure", "Unavailable", "Deadlock", "Unhealthy", "Problem", "Filesystem")


@register.simple_tag
def condition_status(condition: Mapping[str, Any]) -> dict[str, str]:
    """A node condition as a status. A condition whose good value nobody wrote down is shown without a judgement."""
    kind, value = condition.get("type", ""), condition.get("status", "")
    if value not in ("True", "False"):
        return {"status": "unknown", "text": value or "Unknown"}
    if kind.endswith(("Ready", "Healthy")):
        well = value == "True"
    elif kind.startswith("Frequent") or kind.endswith(_BAD_WHEN_TRUE):
        well = value == "False"
    else:
        return {"status": "not_applicable", "text": value}
    return {"status": "pass" if well else "fail", "text": value}


@register.simple_tag
def node_facts(node: Any) -> list[dict[str, Any]]:
    """What the node says about itself, for components/_kv.html."""
    snapshot = node.snapshot or {}
    info = snapshot.get("node_info") or {}
    created = formats.moment(node.created_at) if node.created_at else None
    return [
        {"label": "Joined", "value": created, "none": "not told"},
        {"label": "Operating system", "value": info.get("os_image")},
        {"label": "Kernel", "value": info.get("kernel"), "mono": True},
        {"label": "Container runtime", "value": info.get("container_runtime"), "mono": True},
        {"label": "Provider id", "value": snapshot.get("provider_id"), "mono": True, "none": "none"},
        {"label": "UID", "value": node.uid, "mono": True},
    ]


@register.simple_tag
def stood(period: Any) -> str:
    """How long a closed period lasted."""
    return formats.duration((period.upper - period.lower).total_seconds())
