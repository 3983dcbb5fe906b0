"""Device taints: those of the slices joined with those of DeviceTaintRules, and what tolerates them (KEP-5055)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.dra.selectors import DeviceSelectorError, UnknownSelectorError, meets
from fleet.domain.snapshot.dra import DeviceClass, DeviceTaintRule, DeviceToleration, DraDevice
from fleet.domain.snapshot.nodes import FieldManager, Taint

BLOCKING = frozenset({"NoSchedule", "NoExecute"})
"""Effects that keep a device from the scheduler; None and what is not known do not."""


def rules_for(
    device: DraDevice, rules: Iterable[DeviceTaintRule], classes: Mapping[str, DeviceClass] | None = None
) -> list[DeviceTaintRule]:
    """Returns the rules that taint the device. A rule without criteria taints every device.

    `classes` are by name; None where they are not known.
    """
    return [
        rule
        for rule in rules
        if (not rule.driver or rule.driver == device.driver)
        and (not rule.pool or rule.pool == device.pool)
        and (not rule.device or rule.device == device.name)
        and _selects(rule, device, classes)
    ]


def _selects(rule: DeviceTaintRule, device: DraDevice, classes: Mapping[str, DeviceClass] | None) -> bool:
    """Returns whether the class and the selectors of a v1alpha3 rule mean the device.

    A rule whose class does not exist or whose selector fails taints nothing. Where that is unknown, the device may be tainted
    and is not offered.
    """
    if rule.device_class and classes is not None and rule.device_class not in classes:
        return False
    of_class = (classes or {})[rule.device_class].selectors if rule.device_class and classes is not None else ()
    try:
        return meets(device, (*of_class, *rule.selectors), f"DeviceTaintRule {rule.name}")
    except DeviceSelectorError:
        return False
    except UnknownSelectorError:
        return True


def join(
    devices: Sequence[DraDevice], rules: Sequence[DeviceTaintRule], classes: Iterable[DeviceClass] | None = None
) -> tuple[DraDevice, ...]:
    """Returns the devices with the taints of the rules added to their own, as the scheduler sees them."""
    if not rules:
        return tuple(devices)
    known = None if classes is None else {device_class.name: device_class for device_class in classes}
    joined = []
    for device in devices:
        added = tuple(rule.taint for rule in rules_for(device, rules, known) if rule.taint not in device.taints)
        joined.append(msgspec.structs.replace(device, taints=device.taints + added) if added else device)
    return tuple(joined)


def set_aside(
    devices: Iterable[DraDevice], rules: Sequence[DeviceTaintRule], classes: Iterable[DeviceClass] | None = None
) -> dict[tuple[str, str, str], str]:
    """Returns the first rule that keeps a device from the scheduler, by driver, pool and name of the device.

    Only for devices that nothing but rules keeps back: an administrator's decision, where the driver's own taint is a fault.
    """
    known = None if classes is None else {device_class.name: device_class for device_class in classes}
    aside = {}
    for device in devices if rules else ():
        blocking = [taint for taint in device.taints if taint.effect in BLOCKING and taint.key not in labels.DRA_LAYOUT_TAINTS]
        of_rules = {rule.taint: rule.name for rule in reversed(rules_for(device, rules, known))} if blocking else {}
        if blocking and all(taint in of_rules for taint in blocking):
            aside[device.driver, device.pool, device.name] = of_rules[blocking[0]]
    return aside


def rule_of(taint: Taint, rules: Iterable[DeviceTaintRule]) -> DeviceTaintRule | None:
    """Returns the rule that a taint of a device comes from, of the rules for the device; None for the driver's own."""
    return next((rule for rule in rules if rule.taint == taint), None)


def setter_of(device: DraDevice, rule: DeviceTaintRule | None) -> FieldManager | None:
    """Returns who set a taint of the device, by the managedFields of the rule or of the slice; None where that was not read."""
    if rule is not None:
        return rule.setter
    return FieldManager(field="devices", manager=device.tainted_by) if device.tainted_by else None


def is_blocked(device: DraDevice, tolerations: Sequence[DeviceToleration] = ()) -> bool:
    """Returns whether a taint keeps the device from a request with these tolerations."""
    return any(taint.effect in BLOCKING and not is_tolerated(taint, tolerations) for taint in device.taints)


def is_tolerated(taint: Taint, tolerations: Iterable[DeviceToleration]) -> bool:
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: DeviceToleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator in ("", "Equal"):
        return toleration.value == taint.value
    return toleration.operator == "Exists"
