"""Bounds what a cluster's texts, lists and numbers may cost: every snapshot passes through here before anything reads it.

Kubernetes bounds names (253 characters), label values (63) and label keys (317) itself, and etcd an object's size (1.5 MiB).
An exporter, a tenant's pod behind an exporter's label, or a server that only pretends to be Kubernetes bounds nothing.
Columns that hold such texts are unbounded, but an index entry of Postgres is not (2,704 bytes), nor is a page.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar

import msgspec

from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import ObjectProblem
from fleet.domain.snapshot.telemetry import DeviceSample, ModelServer

T = TypeVar("T")

MOST_CHARACTERS = 253
"""Of an identifier: a name, a UUID, a version, a label's value."""
MOST_BYTES = 600
"""Of an identifier in UTF-8: three of them fit into one index entry."""
MOST_CHARACTERS_OF_KEY = 317
"""Of a label's or a resource's name: a prefix of 253 characters, a slash, and 63 more."""
MOST_CHARACTERS_OF_TEXT = 2_000
"""Of a message for people."""
MOST_ENTRIES = 2_000
"""Of a list or a mapping within one object."""
MOST_PROBLEMS = 50
"""Problems of one snapshot that are named; the rest are counted."""
LARGEST_COUNT = 2**31 - 1
LARGEST_NUMBER = 2**53
MOST_SCHEDULING_ENTRIES = 200_000
"""Of namespaces, volumes and claims, and of queues with their workloads, which come as one object."""

_TEXTS = frozenset({"message", "error", "hides", "text", "visible_devices"})
_COUNTS = frozenset({"replicas", "count", "restarts", "exit_code", "number"})
# Annotations list up to 64 GPUs; the API server accepts CEL selectors of 10 KiB.
_LONG_IDENTIFIERS = {"image": 600, "provider_id": 600, "annotations": 16_384, "selectors": 10_240}
# What may need bounding, in an object written as compact JSON: a string of 200 characters, a backslash (escapes hide a string's
# length), a count of ten digits, any number of 16. Searching takes far less time than walking the object, and each of these by
# itself far less than one expression with all of them.
_LONG = re.compile(rb'"[^"]{200}')
_LARGE_COUNT = re.compile(rb'"(?:%b)":(?:-?[0-9]{10}|[\[{].)' % "|".join(sorted(_COUNTS)).encode())
_AS_DIGITS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord(".") for byte in range(256))
_LARGE_NUMBER = b"0" * 16
# What is not ASCII: controls, zero-width and direction-turning characters, the byte-order mark.
_UNSEEN = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf")
_LARGE = 64 * 1024
# C0 and C1 controls without tab and line feed, zero-width and direction-turning characters, lone surrogates, the byte-order mark.
_HOSTILE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_encode = msgspec.json.Encoder().encode


def bound_snapshot(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """Returns the snapshot with bounded values; `problems` names the objects whose identifiers were shortened."""
    bounder = _Bounder()
    telemetry = snapshot.telemetry
    bounded = msgspec.structs.replace(
        snapshot,
        uid=bounder.bound("cluster UID", snapshot.uid),
        server_version=bounder.bound("version", snapshot.server_version),
        platform=bounder.bound("platform", snapshot.platform),
        node_count=bounder.bound("node count", snapshot.node_count),
        nodes=bounder.all("node", snapshot.nodes, lambda node: node.uid),
        pods=bounder.all("pod", snapshot.pods, lambda pod: pod.uid),
        operator=bounder.bound("operator", snapshot.operator),
        device_plugin=bounder.bound("device plugin", snapshot.device_plugin),
        slices=msgspec.structs.replace(
            snapshot.slices,
            devices=bounder.all("DRA device", snapshot.slices.devices),
            counter_sets=bounder.all("DRA counter set", snapshot.slices.counter_sets),
            incomplete_pools=bounder.all("DRA pool", snapshot.slices.incomplete_pools),
            api_version=bounder.bound("version", snapshot.slices.api_version),
        ),
        allocations=bounder.all("DRA allocation", snapshot.allocations),
        claims=bounder.all("ResourceClaim", snapshot.claims),
        device_classes=bounder.all("DeviceClass", snapshot.device_classes),
        taint_rules=bounder.all("DeviceTaintRule", snapshot.taint_rules),
        readiness_rules=bounder.all("NodeReadinessRule", snapshot.readiness_rules),
        permissions=bounder.bound("permissions", snapshot.permissions),
        events=bounder.all("event", snapshot.events),
        scheduling=_Bounder(MOST_SCHEDULING_ENTRIES).bound("scheduling", snapshot.scheduling),
        queues=_Bounder(MOST_SCHEDULING_ENTRIES).bound("queue", snapshot.queues),
        telemetry=msgspec.structs.replace(
            telemetry,
            source=bounder.bound("telemetry", telemetry.source),
            samples=bounder.all("sample", telemetry.samples, lambda row: (row.node_name, row.uuid, row.gi_id)),
            exporters=bounder.all("exporter", telemetry.exporters, lambda item: (item.node_name, item.namespace, item.pod)),
            servers=bounder.all("model server", telemetry.servers, lambda entry: (entry.node_name, entry.namespace, entry.pod)),
        ),
        sections={name: bounder.bound("section", report) for name, report in snapshot.sections.items()},
    )
    problems = [*snapshot.problems, *bounder.problems]
    if problems == list(snapshot.problems):
        return bounded
    return msgspec.structs.replace(bounded, problems=first_problems(problems))


def first_problems(problems: Iterable[ObjectProblem]) -> tuple[ObjectProblem, ...]:
    """Returns at most MOST_PROBLEMS of them without repeats, bounded themselves, and a last one that counts the rest."""
    unique = list(dict.fromkeys(_Bounder().bound("problem", problem) for problem in problems))
    named, rest = unique[:MOST_PROBLEMS], len(unique) - MOST_PROBLEMS
    if rest > 0:
        named.append(ObjectProblem("object", "", f"{rest:,} more objects were left out or shortened."))
    return tuple(named)


class _Bounder:
    """Bounds objects one after the other and collects what it shortened."""

    def __init__(self, most_entries: int = MOST_ENTRIES) -> None:
        self._most_entries = most_entries
        self.problems: list[ObjectProblem] = []
        self._shortened: list[str] = []

    def all(self, kind: str, objects: tuple[T, ...], identity: Callable[[T], object] | None = None) -> tuple[T, ...]:
        """Bounds each object; of two with one `identity` the first is kept."""
        bounded = tuple(self.bound(kind, each) for each in objects)
        if identity is not None:
            unique: dict[object, T] = {}
            for each in bounded:
                unique.setdefault(identity(each), each)
            if len(unique) < len(bounded):
                count = len(bounded) - len(unique)
                self.problems.append(ObjectProblem(kind, "", f"{count:,} of them came twice; the first was kept."))
                return tuple(unique.values())
        return objects if all(new is old for new, old in zip(bounded, objects, strict=True)) else bounded

    def bound(self, kind: str, value: T) -> T:
        if not _is_suspect(value):
            return value
        self._shortened = []
        bounded: T = self._bound(value, "")
        if self._shortened and len(self.problems) <= 2 * MOST_PROBLEMS:
            name = getattr(bounded, "name", "") or getattr(bounded, "pod", "") or getattr(bounded, "node_name", "")
            fields = ", ".join(sorted(set(self._shortened)))
            self.problems.append(
                ObjectProblem(kind, str(name), f"Longer than Kubernetes allows and shortened: {fields}.", left_out=False)
            )
        return bounded

    def _bound(self, value: Any, field: str) -> Any:
        if isinstance(value, Enum | bool) or value is None:
            return value
        if isinstance(value, str):
            return self._text(value, field)
        if isinstance(value, int):
            most = LARGEST_COUNT if field in _COUNTS else LARGEST_NUMBER
            return max(-most, min(most, value))
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, msgspec.Struct):
            return self._struct(value)
        if isinstance(value, Mapping):
            return self._mapping(value, field)
        if isinstance(value, tuple):
            return tuple(self._bound(each, field) for each in self._first(value, field))
        return value

    def _struct(self, struct: msgspec.Struct) -> msgspec.Struct:
        changes = {}
        for name in struct.__struct_fields__:
            before = getattr(struct, name)
            after = self._bound(before, name)
            if after is not before:
                changes[name] = after
        return msgspec.structs.replace(struct, **changes) if changes else struct

    def _mapping(self, pairs: Mapping[str, Any], field: str) -> dict[str, Any]:
        return {
            self._identifier(str(key), MOST_CHARACTERS_OF_KEY, field): self._bound(value, field)
            for key, value in self._first(tuple(pairs.items()), field)
            if not isinstance(value, float) or math.isfinite(value)  # JSON has no NaN: it would come back as null
        }

    def _first(self, entries: tuple[Any, ...], field: str) -> tuple[Any, ...]:
        if len(entries) > self._most_entries:
            self._shortened.append(field)
        return entries[: self._most_entries]

    def _text(self, text: str, field: str) -> str:
        if field in _TEXTS or field == "reason":
            clean = _clean(text)
            return clean if len(clean) <= MOST_CHARACTERS_OF_TEXT else clean[: MOST_CHARACTERS_OF_TEXT - 1] + "…"
        return self._identifier(text, _LONG_IDENTIFIERS.get(field, MOST_CHARACTERS), field)

    def _identifier(self, text: str, most: int, field: str) -> str:
        clean = _clean(text)
        if len(clean) <= most and len(clean.encode()) <= max(MOST_BYTES, most):
            return clean
        self._shortened.append(field)
        return shorten_identifier(clean, most)


def shorten_identifier(text: str, most: int = MOST_CHARACTERS) -> str:
    """Returns at most `most` characters and as many bytes; two different long texts stay different."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    room = most - len(digest) - 1
    head = text[:room].encode()[:room].decode(errors="ignore")
    return f"{head}~{digest}"


def _clean(text: str) -> str:
    return _HOSTILE.sub("\ufffd", text)


def _is_suspect(value: Any) -> bool:
    if isinstance(value, ModelServer | int | str):
        return True
    if isinstance(value, DeviceSample) and not math.isfinite(sum(value.values.values()) + sum(value.clock_events.values())):
        return True
    try:
        written = _encode(value)
    except (UnicodeEncodeError, msgspec.MsgspecError, OverflowError):
        return True  # a lone surrogate, or a number that JSON cannot hold
    return (
        len(written) > _LARGE
        or b"\\" in written
        or b"\x7f" in written
        or _LONG.search(written) is not None
        or _LARGE_COUNT.search(written) is not None
        or _LARGE_NUMBER in written.translate(_AS_DIGITS)
        or (not written.isascii() and _UNSEEN.search(written) is not None)
    )
