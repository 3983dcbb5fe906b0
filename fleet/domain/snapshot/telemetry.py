"""What exporters and model servers measured, as frozen structs. A value that was not measured is not in `values`, never 0."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleet.domain.snapshot.sections import Outcome


class PodRef(msgspec.Struct, frozen=True):
    """A pod as an exporter names it: the one it believes to hold the device."""

    namespace: str
    pod: str
    container: str = ""


class DeviceSample(msgspec.Struct, frozen=True, kw_only=True):
    """One physical GPU, or one MIG instance of it (`gi_id` set), as one scrape reported it."""

    node_name: str
    uuid: str
    """The physical card's; MIG samples carry their parent's."""
    gi_id: str = ""
    profile: str = ""
    index: int | None = None
    """DCGM's index: not stable over reboots, no CUDA index."""
    pci_bus_id: str = ""
    model: str = ""
    driver_version: str = ""
    at: datetime
    """When it was scraped (Prometheus: when the sample was taken)."""
    values: dict[str, float] = {}
    """Metric id of domain/catalog/metrics.toml to its value, in that metric's unit."""
    refused: dict[str, str] = {}
    """Metric id to why the exporter's value is invalid: "NaN", "4294967295 %, outside 0 to 100", "sampled at …". The GPU is
    there, since its series is; nothing else follows from it."""
    xid_counts: dict[str, int] = {}
    """Xid code to its number within the exporter's sliding window (DCGM_EXP_XID_ERRORS_COUNT)."""
    watches: dict[str, int] = {}
    """DCGM health watch to 0 (pass), 10 (warn) or 20 (fail) (DCGM_EXP_GPU_HEALTH_STATUS)."""
    clock_events: dict[str, float] = {}
    """Reason of a clock event to its number within the window (DCGM_EXP_CLOCK_EVENTS_COUNT)."""
    pods: tuple[PodRef, ...] = ()

    @property
    def key(self) -> str:
        """Identifies this device on its node: the GPU's UUID, followed by the instance's id."""
        return f"{self.uuid}/{self.gi_id}" if self.gi_id else self.uuid

    @property
    def is_measured(self) -> bool:
        """Returns whether the exporter has a series of it besides its last Xid, be its value refused.

        Of a GPU that fell off the bus nothing but the Xid is left.
        """
        return self.has_values or any(name != "xid" for name in self.refused)

    @property
    def has_values(self) -> bool:
        """Returns whether anything but its last Xid has a value."""
        return any(name != "xid" for name in self.values)


class ExporterReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the reading of one exporter went. With Prometheus there is one per node that has samples."""

    node_name: str
    namespace: str = ""
    pod: str = ""
    source: str = ""
    """pod-proxy, direct or prometheus."""
    outcome: Outcome
    reason: str = ""
    at: datetime | None = None
    """When it last answered with samples."""
    took_ms: int = 0
    metrics: tuple[str, ...] = ()
    """Metric ids it exports for any device: what is missing here is not enabled, not zero."""
    refusals: int = 0
    """Number of consecutive refusals."""
    retry_at: datetime | None = None
    """When it is asked again; None where it is asked at every run."""


class ModelServer(msgspec.Struct, frozen=True, kw_only=True):
    """One model server pod and its own numbers. None: it does not export the value. Counters run since the server's start."""

    node_name: str
    namespace: str
    pod: str
    kind: str
    """vllm, sglang, tgi, triton or nim."""
    ready: bool = False
    outcome: Outcome
    reason: str = ""
    at: datetime | None = None
    models: tuple[str, ...] = ()
    running: float | None = None
    waiting: float | None = None
    kv_cache: float | None = None
    """Share of the KV cache in use, 0 to 1."""
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    requests: float | None = None
    """Requests finished with success."""
    ttft_sum: float | None = None
    """Seconds to the first token, summed over `ttft_count` requests."""
    ttft_count: float | None = None
    tokens_per_s: float | None = None
    """Generated tokens per second between the scrape before and this one; None for the first."""
    requests_per_s: float | None = None
    ttft_s: float | None = None
    """Mean seconds to the first token between the two scrapes; None without a request."""
    ready_at: datetime | None = None
    """When its pod was last seen ready."""
    served_at: datetime | None = None
    """When a run last found that it had answered a request since the previous run."""


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    source: str = ""
    """pod-proxy, direct or prometheus; empty where nothing was read."""
    samples: tuple[DeviceSample, ...] = ()
    exporters: tuple[ExporterReport, ...] = ()
    servers: tuple[ModelServer, ...] = ()
