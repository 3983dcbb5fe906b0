"""Kinds of changed facts, and groups of nodes with the same change at about the same time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain import labels

KINDS = (
    "driver", "mig", "sharing", "taints", "cordon", "stack", "capacity", "kernel", "os", "kubelet", "reboot", "conditions",
    "labels", "devices", "joined", "left",
)  # fmt: skip
"""Kinds by importance; an open set for readers."""
ALIKE_WITHIN = timedelta(minutes=30)
"""Maximum time between the same change on two nodes of a group: a rollout goes node by node."""

Change = Mapping[str, str | None]
"""As history.facts.diff: section, key, before, after."""

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
"""Keys whose values differ from node to node or carry no information."""
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


class ChangeStep(msgspec.Struct, frozen=True):
    """One kind of change at one node at one moment; equal steps are the same change."""

    kind: str
    title: str
    """One line: `Driver 570.172.08 → 580.95.05`."""
    differences: tuple[tuple[str, str, str | None, str | None], ...]
    """(section, key, before, after) of its facts, without values that differ from node to node."""


class NodeChange(msgspec.Struct, frozen=True):
    at: datetime
    cluster: str
    node: str
    step: ChangeStep


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes of one cluster with the same change in close succession."""

    kind: str
    title: str
    cluster: str
    at: datetime
    """Moment of the first node's change."""
    until: datetime
    """Moment of the last node's change."""
    nodes: tuple[str, ...]
    """Nodes in the order of their change; each once."""
    differences: tuple[tuple[str, str, str | None, str | None], ...] = ()


JOINED, LEFT = ChangeStep("joined", "Joined", ()), ChangeStep("left", "Left", ())


def kind_of(change: Change) -> str:
    """Returns the kind of one changed fact."""
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


def steps(changes: Iterable[Change]) -> list[ChangeStep]:
    """Returns the changes of one revision, one step for each kind, by importance."""
    by_kind: dict[str, list[Change]] = {}
    for change in changes:
        by_kind.setdefault(kind_of(change), []).append(change)
    return [ChangeStep(kind, _title(kind, by_kind[kind]), _differences(by_kind[kind])) for kind in KINDS if kind in by_kind]


def group(events: Iterable[NodeChange], within: timedelta = ALIKE_WITHIN) -> list[Group]:
    """Returns groups of these changes, given in any order; the latest beginning first."""
    open_: dict[tuple[str, ChangeStep], list[NodeChange]] = {}
    rows: list[list[NodeChange]] = []
    for event in sorted(events, key=lambda row: (row.at, row.cluster, row.node)):
        together = open_.get((event.cluster, event.step))
        if together is None or event.at - together[-1].at > within:
            together = open_[event.cluster, event.step] = []
            rows.append(together)
        together.append(event)
    groups = [
        Group(
            kind=item[0].step.kind,
            title=item[0].step.title,
            cluster=item[0].cluster,
            at=item[0].at,
            until=item[-1].at,
            nodes=tuple(dict.fromkeys(event.node for event in item)),
            differences=item[0].step.differences,
        )
        for item in rows
    ]
    return sorted(groups, key=lambda entry: (entry.at, entry.until, entry.cluster), reverse=True)


def _differences(changes: Sequence[Change]) -> tuple[tuple[str, str, str | None, str | None], ...]:
    return tuple(
        (
            change["section"] or "",
            change["key"] or "",
            *((None, None) if change["key"] in _VOLATILE else (change["before"], change["after"])),
        )
        for change in changes
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
            wanted = next((change for change in changes if change["key"] == labels.MIG_CONFIG), None)
            return _sentence("MIG geometry", [wanted] if wanted else changes, named=wanted is None)
        case "capacity":
            return _sentence((first["section"] or "").capitalize(), changes)
        case "kernel" | "os" | "kubelet":
            return _sentence(_WORDS[kind], changes, named=False)
    return _sentence(_WORDS.get(kind, kind.capitalize()), changes)


def _version_title(changes: Sequence[Change]) -> str:
    """Returns a title with the whole driver version, from one label or from three labels with its parts."""
    fields = {change["key"]: change for change in changes}
    for key in (labels.DRIVER_VERSION_FULL, labels.AMD_DRIVER_VERSION):
        if key in fields:
            return f"Driver {_arrow(fields[key])}"
    for parts in (labels.DRIVER_VERSION_PARTS, labels.DRIVER_VERSION_PARTS_OLD):
        if all(key in fields for key in parts):
            before, after = ([fields[key][side] for key in parts] for side in ("before", "after"))
            return f"Driver {_join(before)} → {_join(after)}"
    return ""


def _join(parts: Sequence[str | None]) -> str:
    return ".".join(part for part in parts if part) or "none"


def _sentence(word: str, changes: Sequence[Change], *, named: bool = True) -> str:
    """Returns the first change in words, and the number of others."""
    first, more = changes[0], len(changes) - 1
    key = f"{first['key']} " if named else ""
    if first["key"] in _VOLATILE:
        text = f"{word} {key}rewritten"
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
