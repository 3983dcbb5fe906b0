"""The driver upgrade of a subject's node: in progress or required, by labels that only count where the driver is managed."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.devices import driver_upgrades
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.snapshot import OperatorSnapshot, PodSnapshot


def upgrading(subject: NodeSubject) -> bool:
    """Returns whether the GPU Operator is upgrading the driver."""
    return bool(driver_upgrades.upgrade_state(subject.node, *_of_stack(subject)))


def upgrade_required(subject: NodeSubject) -> bool:
    """Returns whether the GPU Operator requires an upgrade that it has not started.

    The label is no requirement where the driver is the host's own: nothing will start that upgrade.
    """
    required = subject.node.labels.get(labels.DRIVER_UPGRADE_STATE) == labels.UPGRADE_PENDING
    return required and driver_managed(subject) is not False


def driver_managed(subject: NodeSubject) -> bool | None:
    """Returns whether the GPU Operator manages the node's driver; None where that was not read."""
    return driver_upgrades.is_driver_managed(subject.node, *_of_stack(subject))


def _of_stack(subject: NodeSubject) -> tuple[Sequence[PodSnapshot] | None, OperatorSnapshot | None]:
    snapshot = subject.snapshot
    return subject.pods if snapshot.knows("pods") else None, snapshot.operator if snapshot.knows("operator") else None
