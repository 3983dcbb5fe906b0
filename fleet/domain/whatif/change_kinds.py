"""Kinds of change that a forecast can be asked for."""

from __future__ import annotations

import msgspec

from fleet.domain.catalog.gpus import GpuModel
from fleet.domain.devices.mig import fewest_cards, fit
from fleet.domain.label_selectors import Requirement
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot import DevicePluginConfig, Taint
from fleet.domain.snapshot.readiness_rules import RequiredCondition


class ConfigMapChange(msgspec.Struct, frozen=True, kw_only=True):
    """New content of the ConfigMap that the device plugin reads."""

    namespace: str
    name: str
    configs: tuple[DevicePluginConfig, ...]


class LabelChange(msgspec.Struct, frozen=True, kw_only=True):
    nodes: tuple[str, ...]
    added: dict[str, str] = {}
    removed: tuple[str, ...] = ()


class TaintChange(msgspec.Struct, frozen=True, kw_only=True):
    nodes: tuple[str, ...]
    added: tuple[Taint, ...] = ()
    removed: tuple[Taint, ...] = ()
    """By key; an empty effect is every effect."""


class CordonChange(msgspec.Struct, frozen=True, kw_only=True):
    nodes: tuple[str, ...]
    cordoned: bool = True


class AddNodes(msgspec.Struct, frozen=True, kw_only=True):
    like: str
    count: int


class MigChange(msgspec.Struct, frozen=True, kw_only=True):
    """A MIG layout of every GPU of the nodes."""

    nodes: tuple[str, ...]
    config: str
    profiles: dict[str, int]
    """Profile to instances per GPU; empty for whole GPUs."""


class DriverChange(msgspec.Struct, frozen=True, kw_only=True):
    nodes: tuple[str, ...]
    version: str
    cuda: str = ""


class QuotaChange(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    hard: dict[str, str]


class ReadinessRule(msgspec.Struct, frozen=True, kw_only=True):
    """A NodeReadinessRule: nodes whose conditions are not as required carry its taint."""

    selector: tuple[Requirement, ...]
    conditions: tuple[RequiredCondition, ...]
    taint: Taint
    continuous: bool


Change = (
    ConfigMapChange | LabelChange | TaintChange | CordonChange | AddNodes | MigChange | DriverChange | QuotaChange | ReadinessRule
)


def profiles_on(change: MigChange, model: GpuModel | None) -> dict[str, int]:
    """Returns profile to instances per GPU of this product. Raises FieldError where they do not fit on one."""
    profiles = dict(change.profiles)
    for name, number in profiles.items():
        room = fit(name, model)
        if model is None or room is None or not room.certain:
            raise FieldError("profiles", f"{name} is not a known profile of {model.product if model else 'this product'}.")
        profiles[name] = number or room.most
    if profiles and fewest_cards(profiles, model) > 1:
        raise FieldError("profiles", "These instances do not fit on one GPU together.")
    return profiles
