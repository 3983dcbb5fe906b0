"""Intended disruptions of a node: cordon, maintenance, driver upgrade, MIG change.

And when one has lasted so long that it is a failure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from fleet.domain import labels
from fleet.domain.evaluation.node_upgrade import upgrade_of, upgrading
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence

CHANGE_STUCK_AFTER = timedelta(hours=1)
"""Duration after which a driver upgrade or a MIG change is stuck and no longer intentional."""


_UPGRADE, _MIG = ("driver_loaded", "upgrading"), ("resources_advertised", "mig_change")


class Lasting(NamedTuple):
    """Whether a change is stuck, and the history needed to decide that."""

    stuck: bool
    stamps: dict[str, datetime]


def changing_mig(subject: NodeSubject) -> bool:
    """Returns whether the MIG manager is changing the layout.

    One that failed is over, whatever it paused and left so.
    """
    result = subject.node.labels
    if result.get(labels.MIG_CONFIG_STATE) == labels.MIG_STATE_FAILED:
        return False
    return result.get(labels.MIG_CONFIG_STATE, "") in labels.MIG_STATE_CHANGING or _paused(result, labels.PAUSED_FOR_MIG_CHANGE)


def _paused(row: dict[str, str], word: str) -> bool:
    return word in row.values() and any(value == word and key.startswith(labels.GPU_DEPLOY_PREFIX) for key, value in row.items())


def upgrade_stuck(subject: NodeSubject) -> Lasting:
    return _lasting(subject, *_UPGRADE)


def mig_change_stuck(subject: NodeSubject) -> Lasting:
    return _lasting(subject, *_MIG)


def _lasting(subject: NodeSubject, rung: str, what: str) -> Lasting:
    begun = subject.history.pending.get(f"{rung}|{what}") or subject.now
    return Lasting(subject.clock.is_past(begun, CHANGE_STUCK_AFTER), {what: begun})


def mig_evidence(subject: NodeSubject) -> tuple[Evidence, ...]:
    result = subject.node.labels
    return tuple(Evidence("label", key, result[key]) for key in (labels.MIG_CONFIG, labels.MIG_CONFIG_STATE) if key in result)


def on_purpose(subject: NodeSubject) -> str:
    """Returns why the node is intentionally out of service, in one sentence; empty where it is not.

    A stuck change or a failed upgrade is not intentional, even where it cordoned the node.
    """
    if subject.policy.maintenance:
        return f"In maintenance: {subject.policy.maintenance.rstrip('.')}."
    if upgrade_of(subject).phase == "failed":
        return ""
    if upgrading(subject):
        return "" if upgrade_stuck(subject).stuck else "The driver is being upgraded."
    if changing_mig(subject):
        desired = subject.node.labels.get(labels.MIG_CONFIG, "")
        return "" if mig_change_stuck(subject).stuck else f"The MIG layout is being changed{f' to {desired}' if desired else ''}."
    if subject.node.unschedulable:
        return "The node is cordoned."
    return ""
