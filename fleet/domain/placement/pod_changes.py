"""For each reason that keeps a node out: a sentence, and the one change of the pod that would remove it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

from fleet.domain.label_selectors import Requirement, to_text
from fleet.domain.placement.amounts import amount_text, number_text
from fleet.domain.placement.requirement import NODE_NAME
from fleet.domain.placement.scheduler import node_filters, reasons
from fleet.domain.placement.scheduler.reasons import Refusal
from fleet.domain.placement.scheduler.state import NodeState, scheduling_of
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.scheduling import PodScheduling, Toleration


class PodChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a pod's specification."""

    title: str
    """As the start of a sentence: "Tolerating … "."""
    patch: str = ""
    """YAML to add to the pod's specification; empty where something is to be removed or lowered."""
    scheduling: PodScheduling


def change_for(pod: PodSnapshot, node: NodeState, refusals: tuple[Refusal, ...]) -> tuple[tuple[str, str], PodChange | None]:
    """(id, sentence) of the reason that keeps this node out, and the change that removes it; None where none does."""
    first, scheduling = refusals[0], scheduling_of(pod)
    if first is reasons.TAINT:
        return _taint(scheduling, node)
    if first in (reasons.AFFINITY, reasons.NOT_NAMED):
        return _selector(scheduling, node)
    if first.id == "resources":
        return _resources(scheduling, refusals)
    if first is reasons.UNSCHEDULABLE:
        return (first.id, "Cordoned (unschedulable)."), None
    if first is reasons.PORTS:
        ports = ", ".join(str(port.port) for port in scheduling.ports)
        change = PodChange(title="Removing the host ports", scheduling=msgspec.structs.replace(scheduling, ports=()))
        return (first.id, f"Host port in use: {ports}."), change
    if first.id == "topology_spread":
        text = "The topology spread constraints are not met"
        missing = " (a topology label is missing)" if first is reasons.SPREAD_LABEL else ""
        change = PodChange(title="Removing the hard topology spread", scheduling=msgspec.structs.replace(scheduling, spread=()))
        return (first.id, f"{text}{missing}."), change
    if first is reasons.POD_AFFINITY:
        change = PodChange(title="Removing the pod affinity", scheduling=msgspec.structs.replace(scheduling, affinity=()))
        return (first.id, "No pod that matches the pod affinity runs there."), change
    if first is reasons.POD_ANTI_AFFINITY:
        change = PodChange(
            title="Removing the pod anti-affinity", scheduling=msgspec.structs.replace(scheduling, anti_affinity=())
        )
        return (first.id, "A pod that the pod anti-affinity avoids is there."), change
    if first is reasons.EXISTING_ANTI_AFFINITY:
        return (first.id, "A running pod's anti-affinity keeps this pod away."), None
    return (first.id, f"{_sentence(first.text)}."), None


def _sentence(text: str) -> str:
    """Returns the scheduler's words with a capital, and kinds as Kubernetes writes them."""
    for kind in ("PersistentVolumeClaim", "PersistentVolume"):
        text = re.sub(rf"\b{kind.lower()}\b", kind, text)
    return f"{text[:1].upper()}{text[1:]}"


def _taint(scheduling: PodScheduling, node: NodeState) -> tuple[tuple[str, str], PodChange | None]:
    taints = node_filters.untolerated(node.taints, scheduling.tolerations)
    written = " and ".join(str(taint) for taint in taints)
    added = tuple(
        Toleration(taint.key, "Equal" if taint.value else "Exists", taint.value, taint.effect) for taint in dict.fromkeys(taints)
    )
    change = PodChange(
        title=f"Tolerating {written}",
        patch=_dump({"tolerations": [_toleration(entry) for entry in added]}),
        scheduling=msgspec.structs.replace(scheduling, tolerations=(*scheduling.tolerations, *added)),
    )
    text = f"Taint {written} is not tolerated." if len(taints) == 1 else f"Taints {written} are not tolerated."
    return ("taint", text), change


def _toleration(entry: Toleration) -> dict[str, str]:
    written = {"key": entry.key, "operator": entry.operator, "value": entry.value, "effect": entry.effect}
    return {key: value for key, value in written.items() if value}


def _selector(scheduling: PodScheduling, node: NodeState) -> tuple[tuple[str, str], PodChange | None]:
    missed = [entry for entry in scheduling.selector if not node_filters.holds_on(entry, node.name, node.labels)]
    if missed:
        kept = tuple(entry for entry in scheduling.selector if entry not in missed)
        change = PodChange(
            title=f"Removing {_text(missed)} from nodeSelector", scheduling=msgspec.structs.replace(scheduling, selector=kept)
        )
        return ("selector", f"Labels do not match nodeSelector {_text(missed)}."), change
    change = PodChange(title="Removing the required node affinity", scheduling=msgspec.structs.replace(scheduling, terms=None))
    terms = scheduling.terms or ()
    if len(terms) == 1:
        missed = [entry for entry in terms[0] if not node_filters.holds_on(entry, node.name, node.labels)]
        return ("affinity", f"Does not match the required node affinity {_text(missed)}."), change
    return ("affinity", f"Matches none of the {len(terms)} terms of the required node affinity."), change


def _text(requirements: list[Requirement]) -> str:
    readable = [entry for entry in requirements if entry.values or entry.operator in ("exists", "absent")]
    if not readable:
        return "(a term that matches no node)"
    return to_text([msgspec.structs.replace(entry, key="node name") if entry.key == NODE_NAME else entry for entry in readable])[
        :300
    ]


def _resources(scheduling: PodScheduling, refusals: tuple[Refusal, ...]) -> tuple[tuple[str, str], PodChange | None]:
    short = sorted({refusal.resource for refusal in refusals})
    needed = [amount_text(name, scheduling.requests.get(name) or 0) for name in short if name != "pods"]
    text = "The maximum number of pods is reached." if short == ["pods"] else f"Not enough free: {', '.join(needed)} requested."
    if "pods" in short:
        return ("resources", text), None
    return ("resources", text), None


def lower_requests(scheduling: PodScheduling, nodes: Sequence[NodeState]) -> PodChange | None:
    """Requests lowered to the most that one of these nodes has free; None where none has any, or where nothing is short."""
    lowered = {}
    for name, needed in scheduling.requests.items():
        most = max((node.free(name) or 0 for node in nodes), default=0)
        if needed and node_filters.counted(name) and most < needed:
            if most <= 0:
                return None
            lowered[name] = most
    if not lowered:
        return None
    words = " and ".join(
        f"{amount_text(name, most)} instead of {number_text(name, scheduling.requests[name] or 0)}"
        for name, most in lowered.items()
    )
    return PodChange(
        title=f"Requesting {words}", scheduling=msgspec.structs.replace(scheduling, requests={**scheduling.requests, **lowered})
    )


def _dump(value: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, width=10**6)
    return text
