"""Which DRA devices are parts of one card though they are no MIG instances, and which card each device is of.

A PCI address is one card's, and a driver that publishes parts of a card publishes it with each of them: AMD's does (types
`amdgpu` and `amdgpu-partition`), and the rule holds for types that nobody has thought of yet. With auto-partition AMD's driver
publishes the whole card beside every way of cutting it, of which one at a time can be had: those are no parts that exist.
Source: k8s-gpu-dra-driver, docs/driver-attributes.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from fleet.domain.snapshot import DraDevice
from fleet.domain.sources.dra_claims import Key, key_of
from fleet.domain.sources.gfd import SHORT

_WHOLE_TYPES = frozenset({"gpu", "amdgpu", "vfio"})
Cards = dict[int, str]
"""id() of a device to the identity of its card."""


class Partitions(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of cards among a node's devices."""

    existing: tuple[DraDevice, ...] = ()
    on_demand: tuple[DraDevice, ...] = ()
    """Ways in which a card that is offered whole could be cut."""
    cards_known: bool = True
    """Whether every part tells its card."""

    def modes(self, held: set[Key] | None) -> tuple[str, ...]:
        """The mode of each part that exists: published as such, or held."""
        cut = [device for device in self.on_demand if held is not None and key_of(device) in held]
        return tuple(partition_mode(device) for device in (*self.existing, *cut))


def cards_of(devices: Sequence[DraDevice]) -> Cards:
    """The card of each device that is no MIG instance: by its PCI address where it tells one, else by its uuid or name."""
    by_address: dict[tuple[str, str], str] = {}
    found: Cards = {}
    for device in devices:
        identity = device.uuid or f"{device.driver}/{device.pool}/{device.name}"
        if device.pci_bus_id:
            identity = by_address.setdefault(_address(device), identity)
        found[id(device)] = identity
    return found


def find_partitions(devices: Sequence[DraDevice], cards: Cards) -> Partitions:
    """The parts among devices that are no MIG instances."""
    names = {(_address(device), device.name) for device in devices if device.type != "vfio"}
    on_address = Counter(address for address, _ in names)
    parts = [device for device in devices if _is_part(device, on_address)]
    taken = {id(device) for device in parts}
    whole = {cards[id(device)] for device in devices if id(device) not in taken and device.type != "vfio"}
    existing = tuple(device for device in parts if cards[id(device)] not in whole)
    return Partitions(
        existing=existing,
        on_demand=tuple(device for device in parts if cards[id(device)] in whole),
        cards_known=all(device.pci_bus_id for device in existing),
    )


def partition_mode(device: DraDevice) -> str:
    """AMD's compute mode in the words of its labels (`CPX` of `cpx_nps4`); another driver's profile as it is."""
    if device.driver == "gpu.amd.com":
        return device.profile.split("_")[0].upper()[:SHORT]
    return device.profile[:SHORT]


def _is_part(device: DraDevice, on_address: Counter[tuple[str, str]]) -> bool:
    if "partition" in device.type:
        return True
    return device.type not in _WHOLE_TYPES and bool(device.pci_bus_id) and on_address[_address(device)] > 1


def _address(device: DraDevice) -> tuple[str, str]:
    return device.driver, device.pci_bus_id.lower()
