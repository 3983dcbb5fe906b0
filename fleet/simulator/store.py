"""Storage of a simulated API server: objects as bytes, one growing resourceVersion, old snapshots, events for watches.

A page of a list is a join of bytes that were encoded when the object last changed, so that serving costs next to nothing.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.simulator.resources import Kind

_SNAPSHOTS_KEPT = 12
_EVENTS_KEPT = 20_000


class Record:
    """One version of one object. `raw` is its JSON without kind and apiVersion, unless it is a custom resource."""

    __slots__ = ("_deflated", "fields", "key", "labels", "name", "namespace", "raw", "version")

    def __init__(  # noqa: PLR0913 the fields of a record
        self, key: str, version: int, raw: bytes, namespace: str, name: str, labels: Mapping[str, str], fields: Mapping[str, str]
    ) -> None:
        self.key = key
        self.version = version
        self.raw = raw
        self.namespace = namespace
        self.name = name
        self.labels = labels
        self.fields = fields
        """What field selectors may ask for, by field path."""
        self._deflated: bytes | None = None

    @property
    def deflated(self) -> bytes:
        """`raw` as a self-contained run of deflate blocks, made at the first compressed answer and kept."""
        if self._deflated is None:
            packer = zlib.compressobj(1, zlib.DEFLATED, -15)
            self._deflated = packer.compress(self.raw) + packer.flush(zlib.Z_FULL_FLUSH)
        return self._deflated


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch. `before`: whether the object was in a selection until now."""

    version: int
    type: str
    record: Record
    before: Record | None


class Snapshot:
    """All objects of one kind at one resourceVersion, in key order."""

    __slots__ = ("_by_node", "keys", "records")

    def __init__(self, keys: list[str], records: list[Record]) -> None:
        self.keys = keys
        self.records = records
        self._by_node: dict[str, list[Record]] | None = None

    def on_node(self, node: str) -> list[Record]:
        """The pods with this spec.nodeName, by an index made at the first question."""
        if self._by_node is None:
            index: dict[str, list[Record]] = {}
            for record in self.records:
                index.setdefault(record.fields.get("spec.nodeName", ""), []).append(record)
            self._by_node = index
        return self._by_node.get(node, [])

    def after(self, key: str, namespace: str = "") -> list[Record]:
        """Records from `key` (included) on, in one namespace or all."""
        first = bisect_left(self.keys, key)
        last = len(self.keys)
        if namespace:
            first = max(first, bisect_left(self.keys, f"{namespace}/"))
            last = bisect_left(self.keys, f"{namespace}0")  # "0" follows "/" in ASCII
        return self.records[first:last]


class Shelf:
    """The objects of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.records: dict[str, Record] = {}
        self.keys: list[str] = []
        self.events: deque[Change] = deque(maxlen=_EVENTS_KEPT)
        self.snapshots: OrderedDict[int, Snapshot] = OrderedDict()
        self.current: Snapshot | None = None
        self.compacted = 0
        """Watches and continue tokens older than this are gone."""


class Store:
    """The objects of one cluster. Thread-safe: one lock, held for microseconds."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.shelves = {kind: Shelf(kind) for kind in kinds if kind.stored}
        self.changed = threading.Condition(threading.RLock())
        self.version = 200
        self.first_version = 200
        self._encode = msgspec.json.Encoder().encode

    def put(self, kind: Kind, item: dict[str, Any], fields: Mapping[str, str]) -> Record:
        """Keep an object under its name, give it the next resourceVersion and tell the watches. Nothing new changes nothing."""
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "")
        key = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
        with self.changed:
            shelf = self.shelves[kind]
            before = shelf.records.get(key)
            if before is not None:
                metadata["resourceVersion"] = str(before.version)
                if self._encode(item) == before.raw:
                    return before
            self.version += 1
            metadata["resourceVersion"] = str(self.version)
            record = Record(
                key,
                self.version,
                self._encode(item),
                namespace,
                metadata["name"],
                metadata.get("labels", {}),
                {"metadata.name": metadata["name"], "metadata.namespace": namespace, **fields},
            )
            shelf.records[key] = record
            if before is None:
                insort(shelf.keys, key)
            shelf.current = None
            shelf.events.append(Change(self.version, "MODIFIED" if before else "ADDED", record, before))
            self.changed.notify_all()
            return record

    def delete(self, kind: Kind, key: str) -> None:
        """Remove an object. Its watches see it with a resourceVersion of its own."""
        with self.changed:
            shelf = self.shelves[kind]
            before = shelf.records.pop(key, None)
            if before is None:
                return
            del shelf.keys[bisect_left(shelf.keys, key)]
            self.version += 1
            old, new = f'"resourceVersion":"{before.version}"', f'"resourceVersion":"{self.version}"'
            last = Record(
                key,
                self.version,
                before.raw.replace(old.encode(), new.encode(), 1),
                before.namespace,
                before.name,
                before.labels,
                before.fields,
            )
            shelf.current = None
            shelf.events.append(Change(self.version, "DELETED", last, before))
            self.changed.notify_all()

    def get(self, kind: Kind, key: str) -> Record | None:
        with self.changed:
            return self.shelves[kind].records.get(key)

    def snapshot(self, kind: Kind) -> tuple[int, Snapshot]:
        """The kind as it is now, and the resourceVersion of now; kept for a while, so that later pages show the same moment."""
        with self.changed:
            shelf = self.shelves[kind]
            if shelf.current is None:
                records = shelf.records
                shelf.current = Snapshot(list(shelf.keys), [records[key] for key in shelf.keys])
            current = shelf.current
            shelf.snapshots[self.version] = current
            shelf.snapshots.move_to_end(self.version)
            while len(shelf.snapshots) > _SNAPSHOTS_KEPT:
                shelf.snapshots.popitem(last=False)
            return self.version, current

    def snapshot_at(self, kind: Kind, version: int) -> Snapshot | None:
        """The kind at a former resourceVersion, or None when that is forgotten."""
        with self.changed:
            shelf = self.shelves[kind]
            return None if version < shelf.compacted else shelf.snapshots.get(version)

    def settle(self) -> None:
        """Ends the initial state: objects stored so far existed before any watch."""
        with self.changed:
            for shelf in self.shelves.values():
                shelf.events.clear()
            self.first_version = self.version

    def compact(self) -> None:
        """Drops old versions, as etcd does every five minutes: older watches and continue tokens answer 410 from here on."""
        with self.changed:
            for shelf in self.shelves.values():
                shelf.events.clear()
                shelf.snapshots.clear()
                shelf.compacted = self.version + 1

    def oldest_watch(self, kind: Kind) -> int:
        """The smallest resourceVersion from which a watch can still be served completely."""
        with self.changed:
            shelf = self.shelves[kind]
            floor = max(self.first_version, shelf.compacted - 1)
            full = len(shelf.events) == shelf.events.maxlen
            return max(floor, shelf.events[0].version - 1) if full else floor

    def changes_since(self, kind: Kind, version: int) -> list[Change]:
        with self.changed:
            missed: list[Change] = []
            for change in reversed(self.shelves[kind].events):
                if change.version <= version:
                    break
                missed.append(change)
            return missed[::-1]

    def wait(self, version: int, seconds: float, stop: Callable[[], bool]) -> None:
        """Return when anything has happened after `version`, when `seconds` have passed, or on a request to stop."""
        with self.changed:
            self.changed.wait_for(lambda: self.version > version or stop(), timeout=seconds)

    def wake(self) -> None:
        """Wakes every waiting watch."""
        with self.changed:
            self.changed.notify_all()

    def each(self, kind: Kind) -> Iterator[Record]:
        with self.changed:
            return iter(list(self.shelves[kind].records.values()))
