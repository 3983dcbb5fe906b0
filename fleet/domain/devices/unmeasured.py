"""GPUs that an exporter may leave out although they exist.

dcgm-exporter 4.4.1 to 4.5.2 drops GPUs without a ResourceClaim (NVIDIA/dcgm-exporter#569): they are unmeasured, not lost, as long
as the DRA driver advertises them.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.snapshot import DraDevice

_LOST_TAINT = "gpu.nvidia.com/gpu-lost"


def unheld_uuids(devices: NodeDevices, published: Iterable[DraDevice]) -> frozenset[str]:
    """Returns UUIDs of GPUs in ResourceSlices that no claim uses and that the driver does not report as lost."""
    lost = {device.uuid for device in published if any(taint.key == _LOST_TAINT for taint in device.taints)}
    free = {gpu.uuid for gpu in devices.cards if gpu.source == "resource_slice" and gpu.held is False and gpu.uuid}
    return frozenset(free - lost)
