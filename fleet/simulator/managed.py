"""managedFields: who set which field, in the notation of the API server. They are a third of a real node's size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "addresses": ("type",),
    "podIPs": ("ip",),
    "claims": ("name",),
    "resourceClaims": ("name",),
    "resourceClaimStatuses": ("name",),
}
"""Lists whose entries are identified by some of their fields; every other list is owned as a whole."""


def fields(value: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The fieldsV1 of an object part: one `f:` entry for each field set."""
    owned: dict[str, Any] = {".": {}} if depth > 1 and value else {}
    for key, part in value.items():
        if isinstance(part, Mapping):
            owned[f"f:{key}"] = fields(part, depth + 1)
        elif key in _MERGE_KEYS and isinstance(part, Sequence):
            owned[f"f:{key}"] = _entries(part, _MERGE_KEYS[key], depth + 1)
        elif key == "podCIDRs":
            owned[f"f:{key}"] = {".": {}} | {f"v:{json.dumps(entry)}": {} for entry in part}
        else:
            owned[f"f:{key}"] = {}
    return owned


def _entries(entries: Sequence[Mapping[str, Any]], names: tuple[str, ...], depth: int) -> dict[str, Any]:
    owned: dict[str, Any] = {".": {}}
    for entry in entries:
        key = json.dumps({name: entry[name] for name in names if name in entry}, separators=(",", ":"))
        owned[f"k:{key}"] = fields(entry, depth + 1)
    return owned


def entry(manager: str, part: Mapping[str, Any], time: str, api_version: str = "v1", subresource: str = "") -> dict[str, Any]:
    """One entry of metadata.managedFields: `manager` set the fields of `part` at `time`."""
    made: dict[str, Any] = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields(part),
    }
    if subresource:
        made["subresource"] = subresource
    return made
