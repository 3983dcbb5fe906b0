"""Words shared by everything that judges: evidence, remarks, severities, statuses."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad a remark or finding is, worst last."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    FATAL = "fatal"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Status(StrEnum):
    """What a rung or rule answers. Only evidence can pass; absence of data never does."""

    PASS = "pass"  # noqa: S105 a word, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    WAITING = "waiting"
    NOT_ENABLED = "not_enabled"
    NOT_APPLICABLE = "not_applicable"
    BLOCKED = "blocked"


class Evidence(msgspec.Struct, frozen=True):
    """One thing somebody said: where it was read, under which key, and the value as it stood there."""

    source: str
    """label, capacity, allocatable, taint, condition, pod, resource_slice, config, catalog …"""
    key: str
    value: str


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One plain sentence about a node that a reader must see, with what it rests on.

    `id` is a stable slug (`requested_exceeds_allocatable`); ids are an open set.
    """

    id: str
    severity: Severity
    text: str
    evidence: tuple[Evidence, ...] = ()


def worst_severity(remarks: Iterable[Remark]) -> str:
    """The worst severity among them; empty without any."""
    return max((remark.severity for remark in remarks), key=lambda severity: severity.rank, default="")
