"""Decisions about a node's timeline: which rungs get a lane, which periods are quiet, and what each change is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fleet.domain.readiness.wording import rung_number
from fleet.selectors.history.rows import Change, Rung

_QUIET_VERDICTS = frozenset({"ready"})
_QUIET_STATUSES = frozenset({"pass", "not_applicable", "blocked"})


class ChangeSubject(NamedTuple):
    """What a set of changes is about: its most specific change, the number of others, and the kind of its mark."""

    kind: str
    noun: str
    """Name of the changed fact; empty where the key itself is shown."""
    change: Change
    others: int


class _Subject(NamedTuple):
    section: str
    prefix: str
    kind: str
    noun: str


_SUBJECTS = (
    # the most specific first
    _Subject("labels", "nvidia.com/cuda.driver", "driver", "driver"),
    _Subject("labels", "nvidia.com/mig.config", "geometry", "MIG layout"),
    _Subject("labels", "nvidia.com/mig", "geometry", ""),
    _Subject("stack", "", "stack", ""),
    _Subject("devices", "", "devices", ""),
    _Subject("taints", "", "taints", "taint"),
    _Subject("capacity", "", "devices", "capacity"),
    _Subject("allocatable", "", "devices", "allocatable"),
    _Subject("labels", "", "labels", "label"),
)


def is_quiet_verdict(verdict: str) -> bool:
    """Returns whether a period of this verdict is drawn as a thin line."""
    return verdict in _QUIET_VERDICTS


def is_quiet_status(status: str) -> bool:
    """Returns whether a period of a rung's status is a thin line: it passes, does not apply, or an earlier rung broke."""
    return status in _QUIET_STATUSES


def noisy_rungs(periods: Iterable[Rung]) -> list[tuple[str, list[Rung]]]:
    """Returns the rungs with a period that is not quiet, each with all of its periods, the highest rung first."""
    by_rung: dict[str, list[Rung]] = {}
    for period in periods:
        by_rung.setdefault(period.rung, []).append(period)
    return [
        (rung, by_rung[rung])
        for rung in sorted(by_rung, key=rung_number, reverse=True)
        if not all(is_quiet_status(period.status) for period in by_rung[rung])
    ]


def change_subject(changes: Sequence[Change]) -> ChangeSubject:
    """Returns what these changes (at least one) are about. Changes of unknown sections are like changes of labels."""
    for subject in _SUBJECTS:
        for change in changes:
            if change["section"] == subject.section and (change["key"] or "").startswith(subject.prefix):
                return ChangeSubject(subject.kind, subject.noun, change, len(changes) - 1)
    return ChangeSubject("labels", changes[0]["section"] or "", changes[0], len(changes) - 1)
