"""Cards and MIG devices: the physical things, known by identity where somebody names them, else only counted."""

from __future__ import annotations

import msgspec

MOST_LISTED = 1024
"""No node holds more; a label that claims so is not worth a list."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One physical GPU. Without a `uuid` it is only counted: that it is there is known, which one it is not."""

    index: int | None = None
    """Device minor number, as far as the DRA driver's device name tells it; no CUDA index."""
    uuid: str = ""
    product: str = ""
    memory_mib: int | None = None
    pci_bus_id: str = ""
    source: str = ""
    """Who named or counted it: resource_slice, dcgm, pod, label, cloud, config, capacity."""
    mig_enabled: bool | None = None
    held: bool | None = None
    """Whether a claim or pod holds it or a part of it, where that is known per card."""


class MigDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One MIG instance; counted only where `uuid` is empty."""

    profile: str
    uuid: str = ""
    parent_uuid: str = ""
    gi_id: str = ""
    """DCGM's id of the instance on its card; empty where no exporter tells it."""
    gpu_index: int | None = None
    memory_mib: int | None = None
    source: str = ""
    held: bool | None = None
