"""Which DRA devices are parts of one GPU without being MIG instances, and which GPU each device is of.

A PCI address is one GPU's, and a driver that publishes parts of a GPU publishes it with each of them (AMD's as `parentPciAddr`
or `pciAddr`). Without one, counters decide: devices that take from one counter set are of one GPU, and one that does not
take all of it is a part. With auto-partition AMD's driver publishes the whole GPU beside every way of cutting it, of which one at
a time can be had: those are no parts that exist. Sources: k8s-gpu-dra-driver, docs/driver-attributes.md; KEP-4815.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import msgspec

from fleet.domain import labels
from fleet.domain.devices.sources.gfd import SHORT
from fleet.domain.dra.counters import Counters
from fleet.domain.quantities import parse_quantity
from fleet.domain.snapshot import DraDevice
from fleet.domain.snapshot.dra import CounterSet

_LONGEST_NAME = 60
_NUMBER = re.compile(r"[-_.]?\d{1,4}\Z", re.ASCII)
_WHOLE_TYPES = frozenset({"gpu", "amdgpu", "vfio"})
Cards = dict[int, str]
"""id() of a device to the identity of its GPU."""
SetKey = tuple[str, str, str]
"""Driver, pool and name of a counter set."""


class CardSets:
    """The counter sets that each stand for one GPU, and the devices that take from them."""

    def __init__(self, devices: Sequence[DraDevice], counter_sets: Sequence[CounterSet]) -> None:
        self._sets = {(counter_set.driver, counter_set.pool, counter_set.name): counter_set for counter_set in counter_sets}
        self._members: dict[SetKey, list[DraDevice]] = {}
        for device in devices:
            for use in device.consumes:
                self._members.setdefault((device.driver, device.pool, use.counter_set), []).append(device)
        # a set whose devices name several GPUs, or are those of several other sets, is what GPUs share
        self._of_one_gpu = {key for key, members in self._members.items() if not _several_gpus(members)}
        self._of_one_gpu -= {key for key in self._of_one_gpu if self._joins_others(key)}
        self.of: dict[int, SetKey] = {}
        self._spanning: set[int] = set()
        for device in devices:
            keys = [(device.driver, device.pool, use.counter_set) for use in device.consumes]
            keys = [key for key in keys if key in self._of_one_gpu]
            if keys:
                self.of[id(device)] = keys[0]
            if len(keys) > 1:
                self._spanning.add(id(device))

    def is_part(self, device: DraDevice) -> bool:
        """Returns whether the device takes a part of its GPU's counters only, or of several GPUs."""
        key = self.of.get(id(device))
        if key is None or key not in self._sets:
            return False
        if id(device) in self._spanning:
            return True
        if len(self._members[key]) == 1 or _is_whole(device):
            return False
        return not self._takes_all(device, key)

    def part_name(self, device: DraDevice) -> str:
        """Returns the kind of part of a GPU that a device with counters is; empty for one that is no part.

        Its profile where it has one; else what it takes of the counters, numbered ones together: "1 compute, 2 memory-slice".
        """
        if device.profile:
            return device.profile[:_LONGEST_NAME]
        if not self.is_part(device):
            return ""
        amounts: dict[str, Fraction] = {}
        for use in device.consumes:
            for name, text in use.counters.items():
                kind = _NUMBER.sub("", name) or name
                amounts[kind] = amounts.get(kind, Fraction(0)) + (parse_quantity(text) or 0)
        return ", ".join(f"{_amount_text(amount)} {kind}" for kind, amount in sorted(amounts.items()) if amount)[:_LONGEST_NAME]

    def _joins_others(self, key: SetKey) -> bool:
        members = {id(device) for device in self._members[key]}
        inside = [other for other, devices in self._members.items() if other != key and {id(row) for row in devices} < members]
        return len(inside) > 1

    def coexist(self, device: DraDevice) -> bool:
        """Returns whether all parts of the device's GPU can be had at once; True where no counters speak against it."""
        key = self.of.get(id(device))
        if key is None or key not in self._sets:
            return True
        counters = Counters((self._sets[key],))
        return all(counters.try_take(member.consumes) for member in self._members[key] if not self._takes_all(member, key))

    def _takes_all(self, device: DraDevice, key: SetKey) -> bool:
        counters = Counters((self._sets[key],))
        counters.take(device.consumes)
        return all(amount <= 0 for amount in counters.left.values())


class Partitions(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of GPUs among a node's devices."""

    existing: tuple[DraDevice, ...] = ()
    on_demand: tuple[DraDevice, ...] = ()
    """Ways in which a GPU could be cut."""
    cards_known: bool = True
    """Whether every part names its GPU."""

    def modes(self) -> tuple[str, ...]:
        """Returns the mode of each part that exists, whether or not it is held."""
        return tuple(map(partition_mode, self.existing))


def cards_of(devices: Sequence[DraDevice], sets: CardSets) -> Cards:
    """Returns the GPU of each device that is no MIG instance: by its PCI address, its counter set, else its uuid or name."""
    by_address: dict[tuple[str, str], str] = {}
    by_set: dict[SetKey, str] = {}
    cards: Cards = {}
    for device in sorted(devices, key=lambda device: not _address(device)[1]):
        identity = device.uuid or f"{device.driver}/{device.pool}/{device.name}"
        key = sets.of.get(id(device))
        if _address(device)[1]:
            identity = by_address.setdefault(_address(device), identity)
        if key is not None:
            identity = by_set.setdefault(key, identity)
        cards[id(device)] = identity
    return cards


def find_partitions(devices: Sequence[DraDevice], cards: Cards, sets: CardSets) -> Partitions:
    """Returns the parts among devices that are no MIG instances."""
    names = {(_address(device), device.name) for device in devices if device.type != "vfio"}
    on_address = Counter(address for address, _ in names)
    parts = [device for device in devices if _is_part(device, on_address) or sets.is_part(device)]
    taken = {id(device) for device in parts}
    whole = {cards[id(device)] for device in devices if id(device) not in taken and device.type != "vfio"}
    existing = tuple(device for device in parts if cards[id(device)] not in whole and sets.coexist(device))
    exists = {id(device) for device in existing}
    return Partitions(
        existing=existing,
        on_demand=tuple(device for device in parts if id(device) not in exists),
        cards_known=all(_address(device)[1] or id(device) in sets.of for device in existing),
    )


def partition_mode(device: DraDevice) -> str:
    """Returns AMD's compute mode as its labels write it (`CPX` of `cpx_nps4`); another driver's profile as it is."""
    if device.driver == "gpu.amd.com":
        return device.profile.split("_")[0].upper()[:SHORT]
    return device.profile[:SHORT]


def _is_part(device: DraDevice, on_address: Counter[tuple[str, str]]) -> bool:
    if "partition" in device.type or device.parent_pci:
        return True
    return device.type not in _WHOLE_TYPES and bool(device.pci_bus_id) and on_address[_address(device)] > 1


def _address(device: DraDevice) -> tuple[str, str]:
    return device.driver, (device.parent_pci or device.pci_bus_id).lower()


def _is_whole(device: DraDevice) -> bool:
    """Returns whether the driver calls the device a whole GPU. What a type of another vendor means is not known."""
    return device.type in _WHOLE_TYPES and labels.vendor_of_driver(device.driver) != "other"


def _amount_text(amount: Fraction) -> str:
    for unit, suffix in ((2**40, "Ti"), (2**30, "Gi"), (2**20, "Mi")):
        if amount % unit == 0:
            return f"{int(amount // unit)}{suffix}"
    return str(int(amount)) if amount.denominator == 1 else f"{float(amount):g}"


def _several_gpus(devices: Sequence[DraDevice]) -> bool:
    addresses = {_address(device)[1] for device in devices} - {""}
    uuids = {device.parent_uuid or (device.uuid if _is_whole(device) else "") for device in devices} - {""}
    return len(addresses) > 1 or len(uuids) > 1
