"""Types that all rules and rungs share: evidence, findings, severities, statuses."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad a finding is, worst last."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    FATAL = "fatal"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Status(StrEnum):
    """Result of a rung or rule. Only evidence can pass; absence of data never does."""

    PASS = "pass"  # noqa: S105 a word, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    WAITING = "waiting"
    NOT_ENABLED = "not_enabled"
    NOT_APPLICABLE = "not_applicable"
    BLOCKED = "blocked"


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """One fact that a finding is based on: its source, its key, and its value as read."""

    source: str
    """label, capacity, allocatable, taint, condition, pod, resource_slice, config, catalog …"""
    key: str
    value: str


REPORTED_BY = "reported by"
"""Key of the evidence that names the tool that a fault was read from."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a rule found: on a node's devices, its health, its configuration, in a pool or a class.

    Its identity over time is (cluster, node, rule, key).
    """

    rule: str
    """Id of the rule, as registered in evaluation/registry.py: an open set of plain slugs."""
    severity: Severity
    text: str
    """One plain sentence. No figure that fluctuates: a changed text is a changed row."""
    key: str = ""
    """What distinguishes two findings of one rule on one node: a GPU's UUID, a pod, a resource; empty for one."""
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
    """The result of one rule for one node. `unknown`, `not_enabled` and `waiting` neither open nor resolve findings."""

    rule: str
    status: Status
    reason: str = ""
    """Why it is not `pass`; empty where the findings explain it."""
    findings: tuple[Finding, ...] = ()
    blind: tuple[str, ...] = ()
    """Keys that could not be evaluated this time, while others could: their findings stay as they are. With status
    unknown they are all that is unknown."""
    sure: bool = False
    """Whether missing findings are resolved (`blind` aside) although the rule cannot pass: its findings follow from history or
    from other sources, and only a pass would need a measurement."""


def worst_severity(findings: Iterable[Finding]) -> str:
    """Returns the worst severity among the findings; empty without any."""
    return max((finding.severity for finding in findings), key=lambda severity: severity.rank, default="")
