"""Previous state of a node's devices."""

from __future__ import annotations

import msgspec


class Previous(msgspec.Struct, frozen=True, kw_only=True):
    """Last known devices of a node, for the minute in which GFD rewrites its labels (services/missing_labels.py).

    The caller decides for how long they replace missing labels.
    """

    product: str = ""
    products: tuple[str, ...] = ()
    family: str = ""
    gpu_memory_mib: int | None = None
    physical: int | None = None
    physical_is_lower_bound: bool = False
    partitioning: str | None = None
    sharing: str | None = None
    replicas: int | None = None
    mode: str = ""
    mig_instances: dict[str, int] | None = None
    capacity: dict[str, int] = {}
    """Capacity by resource, without zeros: the rest is used only while this is unchanged."""
