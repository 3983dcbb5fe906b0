"""What kind of change a change of facts is, and which nodes changed alike at about the same time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain import labels

KINDS = (
    "driver", "mig", "sharing", "taints", "cordon", "stack", "capacity", "kernel", "os", "kubelet", "reboot", "conditions",
    "labels", "devices", "joined", "left",
)  # fmt: skip
"""In the order in which they matter; an open set for readers."""
ALIKE_WITHIN = timedelta(minutes=30)
"""A node that changes alike belongs to the others if the last of them changed so recently: a roll-out goes node by node."""

Change = Mapping[str, str | None]
"""As domain.facts.diff: section, key, before, after."""

_DRIVER = frozenset(
    {labels.DRIVER_VERSION_FULL, *labels.DRIVER_VERSION_PARTS, *labels.DRIVER_VERSION_PARTS_OLD, labels.AMD_DRIVER_VERSION}
)
_CUDA = frozenset({labels.CUDA_VERSION_FULL, *labels.CUDA_VERSION_PARTS, *labels.CUDA_VERSION_PARTS_OLD})
_SHARING = frozenset({labels.GPU_REPLICAS, labels.GPU_SHARING_STRATEGY, labels.MPS_CAPABLE, labels.DEVICE_PLUGIN_CONFIG})
_OF_NODE = {
    "kernel": "kernel",
    "os_image": "os",
    "kubelet": "kubelet",
    "container_runtime": "os",
    "boot_id": "reboot",
    "unschedulable": "cordon",
}
_VOLATILE = frozenset({labels.GFD_TIMESTAMP, "boot_id", "provider_id"})
"""Keys whose values differ from node to node, or say nothing but "again"."""
_WORDS = {
    "driver": "Driver",
    "mig": "MIG geometry",
    "sharing": "Sharing",
    "stack": "GPU stack",
    "kernel": "Kernel",
    "os": "System",
    "kubelet": "Kubelet",
    "conditions": "Condition",
    "labels": "Label",
    "taints": "Taint",
    "devices": "Device",
}


class Step(msgspec.Struct, frozen=True):
    """One kind of change at one node at one moment; equal steps are alike."""

    kind: str
    title: str
    """In one line: `Driver 570.172.08 → 580.95.05`."""
    told: tuple[tuple[str, str, str | None, str | None], ...]
    """(section, key, before, after) of everything that belongs to it, without values that differ from node to node."""


class Event(msgspec.Struct, frozen=True):
    at: datetime
    cluster: str
    node: str
    step: Step


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes of one cluster that changed alike, one soon after the other."""

    kind: str
    title: str
    cluster: str
    at: datetime
    """When the first of them changed."""
    until: datetime
    """When the last of them did."""
    nodes: tuple[str, ...]
    """In the order in which they changed; each once."""
    told: tuple[tuple[str, str, str | None, str | None], ...] = ()


JOINED, LEFT = Step("joined", "Joined", ()), Step("left", "Left", ())


def kind_of(change: Change) -> str:
    """The kind of one changed fact."""
    section, key = change["section"] or "", change["key"] or ""
    if section == "node":
        return _OF_NODE.get(key, "labels")
    if section in ("capacity", "allocatable"):
        return "mig" if labels.MIG_LABEL_PREFIX in key else "capacity"
    if section != "labels":
        return section if section in KINDS else "labels"
    if key in _DRIVER or key in _CUDA:
        return "driver"
    if key.startswith((labels.MIG_LABEL_PREFIX, labels.MIG_CONFIG)) or key == labels.MIG_STRATEGY:
        return "mig"
    return "sharing" if key in _SHARING else "labels"


def steps(changes: Iterable[Change]) -> list[Step]:
    """The changes of one revision, one step for each kind, in the order in which kinds matter."""
    by_kind: dict[str, list[Change]] = {}
    for change in changes:
        by_kind.setdefault(kind_of(change), []).append(change)
    return [Step(kind, _title(kind, by_kind[kind]), _told(by_kind[kind])) for kind in KINDS if kind in by_kind]


def group(events: Iterable[Event], within: timedelta = ALIKE_WITHIN) -> list[Group]:
    """Events in any order → groups, the newest beginning first."""
    open_: dict[tuple[str, Step], list[Event]] = {}
    found: list[list[Event]] = []
    for event in sorted(events, key=lambda one: (one.at, one.cluster, one.node)):
        together = open_.get((event.cluster, event.step))
        if together is None or event.at - together[-1].at > within:
            together = open_[event.cluster, event.step] = []
            found.append(together)
        together.append(event)
    groups = [
        Group(
            kind=one[0].step.kind,
            title=one[0].step.title,
            cluster=one[0].cluster,
            at=one[0].at,
            until=one[-1].at,
            nodes=tuple(dict.fromkeys(event.node for event in one)),
            told=one[0].step.told,
        )
        for one in found
    ]
    return sorted(groups, key=lambda one: (one.at, one.until, one.cluster), reverse=True)


def _told(changes: Sequence[Change]) -> tuple[tuple[str, str, str | None, str | None], ...]:
    return tuple(
        (one["section"] or "", one["key"] or "", *((None, None) if one["key"] in _VOLATILE else (one["before"], one["after"])))
        for one in changes
    )


def _title(kind: str, changes: Sequence[Change]) -> str:
    first = changes[0]
    match kind:
        case "driver":
            return _version_title(changes) or _sentence("Driver", changes)
        case "reboot":
            return "Rebooted"
        case "cordon":
            return "Cordoned" if first["after"] == "true" else "Made schedulable again"
        case "mig":
            wanted = next((one for one in changes if one["key"] == labels.MIG_CONFIG), None)
            return _sentence("MIG geometry", [wanted] if wanted else changes, named=wanted is None)
        case "capacity":
            return _sentence((first["section"] or "").capitalize(), changes)
        case "kernel" | "os" | "kubelet":
            return _sentence(_WORDS[kind], changes, named=False)
    return _sentence(_WORDS.get(kind, kind.capitalize()), changes)


def _version_title(changes: Sequence[Change]) -> str:
    """The driver's version as a whole, from the one label that has it or from the three that have its parts."""
    told = {one["key"]: one for one in changes}
    for key in (labels.DRIVER_VERSION_FULL, labels.AMD_DRIVER_VERSION):
        if key in told:
            return f"Driver {_arrow(told[key])}"
    for parts in (labels.DRIVER_VERSION_PARTS, labels.DRIVER_VERSION_PARTS_OLD):
        if all(key in told for key in parts):
            before, after = ([told[key][side] for key in parts] for side in ("before", "after"))
            return f"Driver {_join(before)} → {_join(after)}"
    return ""


def _join(parts: Sequence[str | None]) -> str:
    return ".".join(part for part in parts if part) or "none"


def _sentence(word: str, changes: Sequence[Change], *, named: bool = True) -> str:
    """The first change in words, and how many more there are."""
    first, more = changes[0], len(changes) - 1
    key = f"{first['key']} " if named else ""
    if first["key"] in _VOLATILE:
        text = f"{word} {key}written anew"
    elif first["before"] is None:
        text = f"{word} {key}added" + (f": {first['after']}" if first["after"] else "")
    elif first["after"] is None:
        text = f"{word} {key}gone"
    else:
        text = f"{word} {key}{_arrow(first)}"
    return f"{text}, and {more} more" if more else text


def _arrow(change: Change) -> str:
    return f"{_short(change['before'])} → {_short(change['after'])}"


def _short(value: str | None) -> str:
    if value is None:
        return "none"
    return "empty" if value == "" else value if len(value) <= 60 else value[:59] + "…"
