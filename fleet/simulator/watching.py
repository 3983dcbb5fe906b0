"""Watches: the changes of one kind as lines of JSON, with bookmarks, selections to enter and leave, and 410 for old versions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from fleet.simulator import errors, selectors, tables
from fleet.simulator.listing import OBJECTS, PARTIAL, ListRequest
from fleet.simulator.resources import NODES, Kind
from fleet.simulator.store import Change, Record, Store

_BOOKMARK_EVERY = 60.0
_DEFAULT_SECONDS = 1800.0
_EMPTY_NODE_STATUS = {
    "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
    "nodeInfo": dict.fromkeys(
        (
            "machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeletVersion",
            "kubeProxyVersion", "operatingSystem", "architecture",
        ),
        "",
    ),
}  # fmt: skip


class Watch:
    """One watch. Iterating yields lines and, now and then, nothing (so that the caller notices a client that left)."""

    def __init__(self, store: Store, request: ListRequest, clock: Callable[[], datetime], stop: Callable[[], bool]) -> None:
        self.store = store
        self.request = request
        self.clock = clock
        self.stop = stop
        self.tests = [
            *selectors.fields(request.params.get("fieldSelector", ""), request.kind)[0],
            *selectors.labels(request.params.get("labelSelector", "")),
        ]

    def lines(self) -> Iterator[bytes]:
        """The lines of the answer; raises Refusal before the first one only."""
        params = self.request.params
        kind = self.request.kind
        bookmarks = params.get("allowWatchBookmarks") in ("1", "true")
        ends = time.monotonic() + float(params.get("timeoutSeconds") or _DEFAULT_SECONDS)
        asked = params.get("resourceVersion", "")
        since = int(asked) if asked.isdigit() else 0
        if since > self.store.version:
            yield from self._silence(ends)
            return
        if since == 0 or params.get("sendInitialEvents") == "true":
            since, snapshot = self.store.snapshot(kind)
            for record in snapshot.after("", self.request.namespace):
                if self._selects(record):
                    yield self._line("ADDED", record)
            if params.get("sendInitialEvents") == "true":
                yield _bookmark(self.request, since, end_of_list=True)
        oldest = self.store.oldest_watch(kind)
        if since < oldest:
            yield _encoded("ERROR", msgspec.json.encode(errors.watch_too_old(since, oldest)))
            return
        last_bookmark = time.monotonic()
        while not self.stop():
            for change in self.store.changes_since(kind, since):
                since = change.version
                line = self._change(change)
                if line:
                    yield line
            now = time.monotonic()
            if bookmarks and (now - last_bookmark > _BOOKMARK_EVERY or now >= ends):
                since = max(since, self.store.version) if not self.store.changes_since(kind, since) else since
                yield _bookmark(self.request, since, end_of_list=False)
                last_bookmark = now
            if now >= ends:
                return
            self.store.wait(max(since, self._seen()), min(1.0, max(0.0, ends - now)), self.stop)
            yield b""

    def _seen(self) -> int:
        """Changes of other kinds need not wake this watch twice."""
        return self.store.version

    def _silence(self, ends: float) -> Iterator[bytes]:
        while not self.stop() and time.monotonic() < ends:
            self.store.wait(self.store.version, min(1.0, ends - time.monotonic()), self.stop)
            yield b""

    def _selects(self, record: Record) -> bool:
        if self.request.namespace and record.namespace != self.request.namespace:
            return False
        return all(test(record) for test in self.tests)

    def _change(self, change: Change) -> bytes:
        """The line for a change: an object that enters the selection was added, one that leaves it was deleted."""
        was_in = change.before is not None and self._selects(change.before)
        is_in = change.type != "DELETED" and self._selects(change.record)
        if is_in:
            return self._line("MODIFIED" if was_in else "ADDED", change.record)
        return self._line("DELETED", change.record) if was_in else b""

    def _line(self, kind_of_change: str, record: Record) -> bytes:
        request = self.request
        if request.form == OBJECTS:
            return _encoded(kind_of_change, whole(request.kind, record))
        item = msgspec.json.decode(record.raw)
        shown: dict[str, Any]
        if request.form == PARTIAL:
            shown = tables.partial(item)
        else:
            metadata = {"resourceVersion": str(record.version)}
            include = request.params.get("includeObject", "Metadata")
            shown = tables.draw(request.kind, [record], metadata, include, self.clock())
        return _encoded(kind_of_change, msgspec.json.encode(shown))


def whole(kind: Kind, record: Record) -> bytes:
    """An object as it stands alone: with kind and apiVersion."""
    if kind.custom:
        return record.raw
    return f'{{"kind":"{kind.kind}","apiVersion":"{kind.api_version}",'.encode() + record.raw[1:]


def _encoded(kind_of_change: str, shown: bytes) -> bytes:
    return b'{"type":"' + kind_of_change.encode() + b'","object":' + shown + b"}\n"


def _bookmark(request: ListRequest, version: int, end_of_list: bool) -> bytes:
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    if end_of_list:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    kind = request.kind
    if request.form == PARTIAL:
        shown: dict[str, Any] = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    else:
        shown = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        if kind is NODES:
            shown |= {"spec": {}, "status": _EMPTY_NODE_STATUS}
        elif not kind.custom:
            shown |= {"spec": {}, "status": {}}
    return _encoded("BOOKMARK", msgspec.json.encode(shown))
