"""Deep tests of a node's GPUs that other tools ran: evidence that CUDA works, as far as its age is known."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence
from fleet.domain.health.signals import NodeSignal, meaning
from fleet.domain.readiness.node_evidence import since_boot

_UNDATED = "sagemaker.amazonaws.com/deep-health-check-status"
_RUNNING, _PASSED = "deep_test_running", "deep_test_passed"
_TESTS = frozenset({"autopilot.ibm.com/dcgm.level.3", _UNDATED})
"""Labels of tests that compute on every GPU of the node (monitors.toml has their sources)."""
_STAMP = re.compile(r"_(\d{4}-\d{2}-\d{2})_(\d{2})\.(\d{2})(?:\.\d{2})?\.?UTC$", re.ASCII)


class OutsideValidation(msgspec.Struct, frozen=True, kw_only=True):
    """One test that passed. `void` is why it proves nothing, as the end of a sentence; empty where it is proof."""

    monitor: str
    evidence: Evidence
    at: datetime | None
    void: str


def outside_validation(subject: NodeSubject) -> OutsideValidation | None:
    """Returns the newest test of another tool that is proof, else one that passed and is none; None without any.

    HyperPod's label states no time. The last write of its manager is no time of the test: the same agent writes the node's
    health after a reboot too. What dates it is that Muster saw the test run (`seen_running`).
    """
    passed = [signal for signal in meaning(subject, "good") if signal.place == "label" and signal.key in _TESTS]
    tests = [_read(subject, signal) for signal in passed]
    oldest = datetime.min.replace(tzinfo=UTC)
    return max(tests, key=lambda test: (not test.void, test.at or oldest), default=None)


def seen_running(subject: NodeSubject) -> dict[str, datetime]:
    """Returns what to remember of a test whose label states no time: since when it runs, or ran before it passed."""
    value = subject.node.labels.get(_UNDATED, "").casefold()
    running, passed = (subject.history.pending.get(f"cuda_works|{name}") for name in (_RUNNING, _PASSED))
    if value == "inprogress":
        return {_RUNNING: running or subject.now}
    at = running or passed
    return {_PASSED: at} if value == "passed" and at is not None else {}


def _read(subject: NodeSubject, signal: NodeSignal) -> OutsideValidation:
    at = seen_running(subject).get(_PASSED) if signal.key == _UNDATED else _stamp(signal.value)
    return OutsideValidation(
        monitor=signal.monitor,
        evidence=Evidence("label", signal.key, f"{signal.value}{_age(subject, at)}"),
        at=at,
        void=_void(subject, signal, at),
    )


def _stamp(value: str) -> datetime | None:
    """Returns when Autopilot's test ended: PASS_2026-11-20_19.12.03UTC, in its README also without seconds."""
    match = _STAMP.search(value)
    try:
        return datetime.fromisoformat("{}T{}:{}+00:00".format(*match.groups())) if match else None
    except ValueError:
        return None


def _void(subject: NodeSubject, tested: NodeSignal, at: datetime | None) -> str:
    limit = thresholds.load().outside_validation
    if any(signal.monitor == tested.monitor for signal in meaning(subject, "fault", "validating")):
        return "it reports a fault or tests again"
    if at is None and tested.key == _UNDATED:
        return "its label states no time, and Muster did not see the test run"
    if at is None or not subject.clock.has_reached(at):
        return "at an unknown time"
    if not since_boot(subject, at):
        return "before the node's last boot"
    if subject.clock.is_past(at, limit.lasts):
        return f"more than {limit.lasts.days} days ago"
    return ""


def _age(subject: NodeSubject, at: datetime | None) -> str:
    """Returns the age in whole days, so that it is no change in every run."""
    if at is None or not subject.clock.has_reached(at):
        return " (age unknown)"
    days = subject.clock.whole_days(at)
    return f" ({days} day{'s' * (days != 1)} ago)" if days else " (less than a day ago)"
