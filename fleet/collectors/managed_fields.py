"""Who set what takes a node or device out of service: the managers of cordons, taints, labels and annotations.

managedFields are a third of an object's weight: they are decoded only where they answer a question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern

import msgspec

from fleet.collectors.errors import NOT_JSON
from fleet.collectors.wire import parse_time
from fleet.domain.snapshot.nodes import FieldManager

_LARGEST = 256 * 1024
_MOST_ENTRIES = 64
_MOST_FIELDS = 16
_LONGEST_NAME = 128
_ANY = dict[str, msgspec.Raw]
_NOT_OWNED = msgspec.Raw(b"")
CORDON, TAINTS = "unschedulable", "taints"
TAINT, DEVICES = "taint", "devices"
"""The taint of a DeviceTaintRule; the devices of a ResourceSlice with their taints."""


class _Spec(msgspec.Struct, gc=False):
    taints: msgspec.Raw = msgspec.field(default=_NOT_OWNED, name="f:taints")
    unschedulable: msgspec.Raw = msgspec.field(default=_NOT_OWNED, name="f:unschedulable")
    taint: msgspec.Raw = msgspec.field(default=_NOT_OWNED, name="f:taint")
    devices: msgspec.Raw = msgspec.field(default=_NOT_OWNED, name="f:devices")


class _Metadata(msgspec.Struct, gc=False):
    labels: _ANY | None = msgspec.field(default=None, name="f:labels")
    annotations: _ANY | None = msgspec.field(default=None, name="f:annotations")


class _Fields(msgspec.Struct, gc=False):
    metadata: _Metadata | None = msgspec.field(default=None, name="f:metadata")
    spec: _Spec | None = msgspec.field(default=None, name="f:spec")


class _Entry(msgspec.Struct, gc=False):
    manager: str | None = None
    time: str | None = None
    fields: _Fields | None = msgspec.field(default=None, name="fieldsV1")


def parse(raw: msgspec.Raw, wanted: Iterable[str]) -> tuple[FieldManager, ...]:
    """Returns the last manager of each wanted field (as FieldManager.field); none of what cannot be read."""
    if len(raw) > _LARGEST:
        return ()
    try:
        entries = msgspec.json.decode(raw, type=list[_Entry] | None) or []
    except NOT_JSON:
        return ()
    owners: dict[str, FieldManager] = {}
    names = sorted(set(wanted))[:_MOST_FIELDS]
    for entry in entries[:_MOST_ENTRIES]:
        fields = entry.fields
        if fields is None or not entry.manager:
            continue
        for name in names:
            if _owns(fields, name):
                owner = FieldManager(field=name, manager=intern(entry.manager[:_LONGEST_NAME]), at=parse_time(entry.time))
                owners[name] = _later(owners.get(name), owner)
    return tuple(owners[name] for name in names if name in owners)


def _owns(fields: _Fields, name: str) -> bool:
    spec, metadata = fields.spec or _Spec(), fields.metadata or _Metadata()
    of_spec = {CORDON: spec.unschedulable, TAINTS: spec.taints, TAINT: spec.taint, DEVICES: spec.devices}
    if name in of_spec:
        return len(of_spec[name]) > 0
    kind, _, key = name.partition(" ")
    owned: Mapping[str, msgspec.Raw] = (metadata.labels if kind == "label" else metadata.annotations) or {}
    return f"f:{key}" in owned


def _later(before: FieldManager | None, manager: FieldManager) -> FieldManager:
    if before is None or before.at is None:
        return manager
    return manager if manager.at is not None and manager.at >= before.at else before
