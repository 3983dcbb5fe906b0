"""Which DeviceClasses stand for GPUs, for rules that know no more of a claim than the name of its class."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from fleet.domain import labels
from fleet.domain.snapshot.dra import DeviceClass

_DRIVER = re.compile(r"""["']((?:[a-z0-9][-a-z0-9]*\.)+[a-z][-a-z0-9]*)(?:/[^"']*)?["']""", re.ASCII)
"""A text literal in CEL that is the name of a driver, or begins with one: drivers are DNS subdomains."""


class ClassNames(msgspec.Struct, frozen=True, kw_only=True):
    """Names of DeviceClasses, each of the clusters' own; a class in neither set is not known."""

    gpus: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    """Of devices that are no GPUs: network cards, IMEX channels."""
    resources: frozenset[str] = frozenset()
    """Extended resources that DeviceClasses of GPUs offer."""


NO_NAMES = ClassNames()


def class_names(classes: Iterable[DeviceClass]) -> ClassNames:
    """Returns which of these DeviceClasses stand for GPUs, by the drivers that their selectors name.

    A class without selectors selects every device, GPUs as well. A name that stands for GPUs in one cluster does so in all.
    """
    gpus, others, resources = set(), set(), set()
    for device_class in classes:
        drivers = {driver for selector in device_class.selectors for driver in _DRIVER.findall(selector)}
        if not device_class.selectors or any(map(labels.is_gpu_driver, drivers)):
            gpus.add(device_class.name)
            resources.add(device_class.extended_resource)
        elif drivers:
            others.add(device_class.name)
    return ClassNames(gpus=frozenset(gpus), others=frozenset(others - gpus), resources=frozenset(resources - {""}))
