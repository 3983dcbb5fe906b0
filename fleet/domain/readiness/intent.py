"""What goes on at a node on purpose: cordon, maintenance, a driver upgrade, a change of the MIG layout; and when such a
purpose has lasted so long that it is a failure."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from fleet.domain import labels
from fleet.domain.findings import Evidence
from fleet.domain.readiness.limits import CHANGE_STUCK_AFTER
from fleet.domain.subject import NodeSubject

_UPGRADE, _MIG = ("driver_loaded", "upgrading"), ("resources_advertised", "mig_change")


class Lasting(NamedTuple):
    """Whether a change is stuck, and what to remember to tell."""

    stuck: bool
    stamps: dict[str, datetime]


def upgrading(subject: NodeSubject) -> bool:
    """Whether the operator is at work on the driver."""
    told = subject.node.labels
    return told.get(labels.DRIVER_UPGRADE_STATE, "") in labels.UPGRADE_IN_PROGRESS or _paused(
        told, labels.PAUSED_FOR_DRIVER_UPGRADE
    )


def changing_mig(subject: NodeSubject) -> bool:
    """Whether the MIG manager is at work on the layout."""
    told = subject.node.labels
    return told.get(labels.MIG_CONFIG_STATE, "") in labels.MIG_STATE_CHANGING or _paused(told, labels.PAUSED_FOR_MIG_CHANGE)


def _paused(told: dict[str, str], word: str) -> bool:
    return word in told.values() and any(
        value == word and key.startswith(labels.GPU_DEPLOY_PREFIX) for key, value in told.items()
    )


def upgrade_stuck(subject: NodeSubject) -> Lasting:
    return _lasting(subject, *_UPGRADE)


def mig_change_stuck(subject: NodeSubject) -> Lasting:
    return _lasting(subject, *_MIG)


def _lasting(subject: NodeSubject, rung: str, what: str) -> Lasting:
    begun = subject.memory.pending.get(f"{rung}|{what}", subject.now)
    return Lasting(subject.now - begun > CHANGE_STUCK_AFTER, {what: begun})


def mig_evidence(subject: NodeSubject) -> tuple[Evidence, ...]:
    told = subject.node.labels
    return tuple(Evidence("label", key, told[key]) for key in (labels.MIG_CONFIG, labels.MIG_CONFIG_STATE) if key in told)


def on_purpose(subject: NodeSubject) -> str:
    """Why the node is out on purpose, in one sentence; empty where it is not. A change that is stuck, or an upgrade that
    failed, is no purpose any more, whoever cordoned the node for it."""
    if subject.policy.maintenance:
        return f"In maintenance: {subject.policy.maintenance.rstrip('.')}."
    if subject.node.labels.get(labels.DRIVER_UPGRADE_STATE) == labels.UPGRADE_FAILED:
        return ""
    if upgrading(subject):
        return "" if upgrade_stuck(subject).stuck else "The driver is being upgraded."
    if changing_mig(subject):
        desired = subject.node.labels.get(labels.MIG_CONFIG, "")
        return "" if mig_change_stuck(subject).stuck else f"The MIG layout is being changed{f' to {desired}' if desired else ''}."
    if subject.node.unschedulable:
        return "The node is cordoned."
    return ""
