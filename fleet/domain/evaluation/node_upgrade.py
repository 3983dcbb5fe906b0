"""The driver upgrade of a subject's node, by labels that only count where the driver is managed."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.devices import driver_upgrades
from fleet.domain.devices.driver_upgrades import DriverUpgrade
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.snapshot import OperatorSnapshot, PodSnapshot


def upgrade_of(subject: NodeSubject) -> DriverUpgrade:
    """Returns the state of the node's driver upgrade, with the label that states it."""
    return driver_upgrades.driver_upgrade(subject.node, *_of_stack(subject))


def upgrading(subject: NodeSubject) -> bool:
    """Returns whether the GPU Operator is upgrading the driver."""
    return upgrade_of(subject).phase == "in_progress"


def upgrade_required(subject: NodeSubject) -> bool:
    """Returns whether the GPU Operator requires an upgrade that it has not started."""
    return upgrade_of(subject).phase == "required"


def driver_managed(subject: NodeSubject) -> bool | None:
    """Returns whether the GPU Operator manages the node's driver; None where that was not read."""
    return driver_upgrades.is_driver_managed(subject.node, *_of_stack(subject))


def _of_stack(subject: NodeSubject) -> tuple[Sequence[PodSnapshot] | None, OperatorSnapshot | None]:
    snapshot = subject.snapshot
    return subject.pods if snapshot.knows("pods") else None, snapshot.operator if snapshot.knows("operator") else None
