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


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """One thing somebody said: where it was read, under which key, and the value as it stood there."""

    source: str
    """label, capacity, allocatable, taint, condition, pod, resource_slice, config, catalog …"""
    key: str
    value: str


class Remark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One plain sentence about a node that a reader must see, with what it rests on.

    `id` is a stable slug (`requested_exceeds_allocatable`); ids are an open set.
    """

    id: str
    severity: Severity
    text: str
    evidence: tuple[Evidence, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong that a health or lint rule sees now. Its identity over time is (cluster, node, rule, key)."""

    rule: str
    """Id of the rule: an open set of plain slugs."""
    severity: Severity
    text: str
    """One plain sentence. No figure that wobbles: a changed text is a changed row."""
    key: str = ""
    """What tells two findings of one rule on one node apart: a GPU's UUID, a pod, a resource; empty for one."""
    subject: str = "node"
    """node, gpu, mig_instance, pod, resource, cluster, pool or workload_class."""
    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    """What to do, in plain words; steps are lines."""
    rung: str = ""
    """The rung it breaks or explains; empty for none."""
    sustain_s: int = 0
    """It counts only after it has been seen for so long without a break; until then it is pending."""


class RuleResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says about one node. `unknown`, `not_enabled` and `waiting` neither open nor resolve findings."""

    rule: str
    status: Status
    reason: str = ""
    """Why it is not `pass`; empty where the findings say it."""
    findings: tuple[Finding, ...] = ()
    blind: tuple[str, ...] = ()
    """Keys it could say nothing about this time, though it could about others: their findings stay as they are. With status
    unknown they are all that is unknown."""
    sure: bool = False
    """Whether what it does not find is not there (`blind` aside) although it cannot pass: what it finds rests on what is
    remembered or told by others, and only its being well would need a measurement."""


def worst_severity(remarks: Iterable[Remark]) -> str:
    """The worst severity among them; empty without any."""
    return max((remark.severity for remark in remarks), key=lambda severity: severity.rank, default="")
