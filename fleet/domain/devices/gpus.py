"""Physical GPUs and MIG devices, known by UUID where a source names them, else only counted."""

from __future__ import annotations

import msgspec

MOST_LISTED = 1024
"""Most GPUs of a node in a list; a label that claims more is not listed."""


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One physical GPU. Without a `uuid` it is only counted, not identified."""

    index: int | None = None
    """Device minor number, where the DRA driver's device name contains it; not a CUDA index."""
    uuid: str = ""
    product: str = ""
    memory_mib: int | None = None
    pci_bus_id: str = ""
    source: str = ""
    """Source: resource_slice, dcgm, pod, label, cloud, config, capacity."""
    mig_enabled: bool | None = None
    held: bool | None = None
    """Whether a claim or pod uses it or a part of it, where that is known per GPU."""


class MigDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One MIG instance; counted only where `uuid` is empty."""

    profile: str
    uuid: str = ""
    parent_uuid: str = ""
    gi_id: str = ""
    """DCGM's id of the instance on its card; empty where no exporter reports it."""
    gpu_index: int | None = None
    memory_mib: int | None = None
    source: str = ""
    held: bool | None = None
