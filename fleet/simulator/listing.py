"""Lists: pages, continue tokens, selectors, resourceVersion, and the three forms an answer may take."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from fleet.simulator import errors, selectors, tables
from fleet.simulator.faults import Faults
from fleet.simulator.resources import Kind
from fleet.simulator.store import Record, Snapshot, Store

OBJECTS, TABLE, PARTIAL = "objects", "table", "partial"
_GZIP_HEADER = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))


@dataclass(frozen=True, slots=True)
class ListRequest:
    """One list, as asked."""

    kind: Kind
    namespace: str
    params: dict[str, str]
    form: str
    path: str

    @property
    def selective(self) -> bool:
        return bool(self.params.get("labelSelector") or self.params.get("fieldSelector"))


class Body:
    """An answer as a run of parts, joined plain or joined compressed. Large lists are thus never encoded twice."""

    def __init__(self, head: bytes, records: list[Record], tail: bytes) -> None:
        self._head = head
        self._records = records
        self._tail = tail

    @classmethod
    def of(cls, value: Any) -> Body:
        return cls(msgspec.json.encode(value), [], b"")

    def plain(self) -> bytes:
        return b"".join((self._head, b",".join([record.raw for record in self._records]), self._tail))

    def gzipped(self) -> bytes:
        """A gzip member whose large parts were deflated when first asked for."""
        check = zlib.crc32(self._head)
        size = len(self._head)
        parts = [_GZIP_HEADER, _deflate(self._head)]
        comma = _deflate(b",")
        for number, record in enumerate(self._records):
            if number:
                parts.append(comma)
                check = zlib.crc32(b",", check)
            parts.append(record.deflated)
            check = zlib.crc32(record.raw, check)
            size += len(record.raw) + bool(number)
        check = zlib.crc32(self._tail, check)
        size += len(self._tail)
        last = zlib.compressobj(1, zlib.DEFLATED, -15)
        parts += [last.compress(self._tail), last.flush(zlib.Z_FINISH), struct.pack("<LL", check, size & 0xFFFFFFFF)]
        return b"".join(parts)


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


class Lister:
    """Answers the lists of one cluster."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store = store
        self.faults = faults

    def answer(self, request: ListRequest, now: datetime) -> Body:
        """The body of a list; raises Refusal."""
        params = request.params
        limit = _number(params.get("limit", ""), 0)
        token = params.get("continue", "")
        asked = params.get("resourceVersion", "")
        page = 1
        if token:
            version, snapshot, start, page = self._resume(request, token)
        else:
            version, snapshot, start = *self._begin(request, asked), ""
            if asked == "0":
                limit = 0
        self._break(request, page)
        records = self._selected(request, snapshot, start)
        more = ""
        rest = 0
        if limit and len(records) > limit:
            rest = len(records) - limit
            records = records[:limit]
            more = _token(version, _relative(records[-1].key, request.namespace), page)
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if more:
            metadata["continue"] = more
            if not request.selective:
                metadata["remainingItemCount"] = rest
        elif request.kind.custom:
            metadata = {"continue": ""} | metadata
        return self._form(request, records, metadata, now)

    def _begin(self, request: ListRequest, asked: str) -> tuple[int, Snapshot]:
        version, snapshot = self.store.snapshot(request.kind)
        match = request.params.get("resourceVersionMatch", "")
        wanted = _number(asked, 0)
        if wanted > version:
            raise errors.version_too_new(wanted, version)
        if match == "Exact" and wanted:
            former = self.store.snapshot_at(request.kind, wanted)
            if former is None:
                raise errors.version_too_old()
            return wanted, former
        return version, snapshot

    def _resume(self, request: ListRequest, token: str) -> tuple[int, Snapshot, str, int]:
        version, start, page = _read_token(token)
        start = f"{request.namespace}/{start}" if request.namespace else start
        if version < 0:
            now, snapshot = self.store.snapshot(request.kind)
            return now, snapshot, start, page
        expires = self.faults.expire_after_page
        due = bool(expires) and page > expires and self._concerned(request)
        snapshot_then = self.store.snapshot_at(request.kind, version)
        if snapshot_then is None or (due and self.faults.spend("expire_times")):
            fresh = start.removeprefix(f"{request.namespace}/") if request.namespace else start
            raise errors.continue_expired(_encode({"v": "meta.k8s.io/v1", "rv": -1, "start": fresh}))
        return version, snapshot_then, start, page

    def _concerned(self, request: ListRequest) -> bool:
        return not self.faults.fail_paths or self.faults.matches(self.faults.fail_paths, request.path)

    def _break(self, request: ListRequest, page: int) -> None:
        if self.faults.fail_after_page and page > self.faults.fail_after_page and self._concerned(request):
            raise errors.internal_error(500)

    def _selected(self, request: ListRequest, snapshot: Snapshot, start: str) -> list[Record]:
        label_tests = selectors.labels(request.params.get("labelSelector", ""))
        field_tests, node = selectors.fields(request.params.get("fieldSelector", ""), request.kind)
        if node:
            records = [record for record in snapshot.on_node(node) if record.key >= start]
            if request.namespace:
                records = [record for record in records if record.namespace == request.namespace]
        else:
            records = snapshot.after(start, request.namespace)
        for test in (*field_tests, *label_tests):
            records = [record for record in records if test(record)]
        return records

    def _form(self, request: ListRequest, records: list[Record], metadata: dict[str, Any], now: datetime) -> Body:
        kind = request.kind
        if request.form == TABLE:
            include = request.params.get("includeObject", "Metadata")
            return Body.of(tables.draw(kind, records, metadata, include, now))
        if request.form == PARTIAL:
            items = [tables.partial(msgspec.json.decode(record.raw)) for record in records]
            shown = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            return Body.of(shown | {"items": items})
        encoded = msgspec.json.encode(metadata)
        padding = self._padding() if records else b""
        if kind.custom:
            head = f'{{"apiVersion":"{kind.api_version}","items":['.encode() + padding
            tail = f'],"kind":"{kind.kind}List","metadata":'.encode() + encoded + b"}\n"
            return Body(head, records, tail)
        head = f'{{"kind":"{kind.kind}List","apiVersion":"{kind.api_version}","metadata":'.encode()
        return Body(head + encoded + b',"items":[' + padding, records, b"]}\n")

    def _padding(self) -> bytes:
        size = self.faults.oversized_mib
        if not size:
            return b""
        name = b'{"metadata":{"name":"a-very-large-one","uid":"0","annotations":{"filler":"'
        return name + b"x" * (size * 1024 * 1024) + b'"}},"spec":{},"status":{}},'


def _number(text: str, default: int) -> int:
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _relative(key: str, namespace: str) -> str:
    return key.removeprefix(f"{namespace}/") if namespace else key


def _token(version: int, last: str, page: int) -> str:
    return _encode({"v": "meta.k8s.io/v1", "rv": version, "start": f"/{last}\0", "page": page + 1})


def _encode(token: dict[str, Any]) -> str:
    text = json.dumps(token, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str, int]:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError as error:
        raise errors.bad_request(f"invalid continue token: continue key is not valid: {error}") from None
    try:
        decoded = msgspec.json.decode(raw, type=dict[str, Any])
        return int(decoded["rv"]), str(decoded["start"]).lstrip("/"), int(decoded.get("page", 1))
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError):
        odd = chr(raw[0]) if raw and 32 < raw[0] < 127 else f"\\x{raw[0] if raw else 0:02x}"
        message = f"invalid continue token: continue key is not valid: invalid character '{odd}' looking for beginning of value"
        raise errors.bad_request(message) from None
