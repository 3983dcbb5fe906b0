"""Parts of the API's JSON that several files share: metadata, conditions, times. Only the fields that Muster needs.

Every field may be missing or null: the Go API leaves out what is empty, and sends null lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from sys import intern

import msgspec

from fleet.domain.snapshot import Condition

Quantities = dict[str, str | int | float]
"""Quantities are strings on the wire; numbers are understood too, as servers that only pretend send them."""


class Owner(msgspec.Struct, gc=False):
    kind: str | None = None
    name: str | None = None
    controller: bool | None = None


class ObjectMeta(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    owner_references: list[Owner] | None = None

    @property
    def created_at(self) -> datetime | None:
        return parse_time(self.creation_timestamp)


class ManagedMeta(ObjectMeta, rename="camel", gc=False):
    """Metadata with managedFields, undecoded."""

    managed_fields: msgspec.Raw = msgspec.Raw(b"null")


class ConditionWire(msgspec.Struct, rename="camel", gc=False):
    type: str | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None


_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)


def is_object_name(name: str) -> bool:
    """Returns whether Kubernetes would accept this as the name of a node or pod (a DNS subdomain, RFC 1123)."""
    return _SUBDOMAIN.fullmatch(name) is not None and ".." not in name


_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


def is_label_name(name: str) -> bool:
    """Returns whether Kubernetes would accept this as the name of a namespace or container (a DNS label, RFC 1123)."""
    return _LABEL.fullmatch(name) is not None


_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def parse_time(text: str | None) -> datetime | None:
    """Returns an RFC 3339 time in UTC; None for nothing, for what is not a time, and for years outside 1970 to 2199."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not UTC:
            at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if _EARLIEST <= at < _LATEST else None


def parse_conditions(wires: list[ConditionWire] | None) -> tuple[Condition, ...]:
    """Conditions that name a type, in the order given."""
    return tuple(
        Condition(
            type=intern(wire.type),
            status=intern(wire.status or ""),
            reason=intern(wire.reason or ""),
            message=wire.message or "",
            last_transition_at=parse_time(wire.last_transition_time),
        )
        for wire in wires or ()
        if wire.type
    )


def interned(pairs: Mapping[str, str] | None) -> dict[str, str]:
    """A copy whose keys and values are shared: thousands of nodes carry the same hundred labels."""
    return dict(zip(map(intern, pairs), map(intern, pairs.values()), strict=True)) if pairs else {}


def quantities(pairs: Quantities | None) -> dict[str, str]:
    """Resource names and amounts as text, shared likewise."""
    return dict(zip(map(intern, pairs), map(intern, map(str, pairs.values())), strict=True)) if pairs else {}
