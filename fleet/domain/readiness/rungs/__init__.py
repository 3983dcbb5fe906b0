"""The rungs in order. A new one is a file here and a line in the tuple."""

from __future__ import annotations

from fleet.domain.readiness.rungs import (
    container_runtime,
    cuda_works,
    driver_loaded,
    gpu_present,
    kubelet_ready,
    labels_accurate,
    model_server_starts,
    model_serves,
    resources_advertised,
    telemetry_healthy,
)
from fleet.domain.readiness.types import Rung

RUNGS: tuple[Rung, ...] = (
    kubelet_ready.RUNG,
    gpu_present.RUNG,
    driver_loaded.RUNG,
    container_runtime.RUNG,
    cuda_works.RUNG,
    resources_advertised.RUNG,
    labels_accurate.RUNG,
    telemetry_healthy.RUNG,
    model_server_starts.RUNG,
    model_serves.RUNG,
)
