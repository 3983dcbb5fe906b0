"""The loader of thresholds.toml: where measured values turn into findings."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from importlib import resources

import msgspec


class _Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    fresh_s: int
    source: str

    @property
    def fresh(self) -> timedelta:
        return timedelta(seconds=self.fresh_s)


class _Xid(msgspec.Struct, frozen=True, kw_only=True):
    quiet_s: int
    """Time without the code after which a burst has ended."""
    sticky_s: int
    """Time for which a burst counts after its last event."""
    memory_s: int
    """Time within which bursts count as repeated."""
    repeat: int
    source: str

    @property
    def quiet(self) -> timedelta:
        return timedelta(seconds=self.quiet_s)

    @property
    def sticky(self) -> timedelta:
        return timedelta(seconds=self.sticky_s)

    @property
    def memory(self) -> timedelta:
        return timedelta(seconds=self.memory_s)


class _Thermal(msgspec.Struct, frozen=True, kw_only=True):
    gpu_temp_c: float
    memory_temp_c: float
    sustain_s: int
    source: str
    no_memory_temp: tuple[str, ...]
    """Tokens of product names whose memory has no sensor."""
    no_memory_temp_source: str


class _Throttling(msgspec.Struct, frozen=True, kw_only=True):
    sustain_s: int
    source: str


class _ClockEvents(msgspec.Struct, frozen=True, kw_only=True):
    harmful: tuple[str, ...]
    sustain_s: int
    source: str


class _Nvlink(msgspec.Struct, frozen=True, kw_only=True):
    errors: float
    no_nvlink: tuple[str, ...]
    """Tokens of product names of cards without NVLink."""
    source: str


class _Ecc(msgspec.Struct, frozen=True, kw_only=True):
    uncorrectable: float
    source: str


class _RowRemap(msgspec.Struct, frozen=True, kw_only=True):
    families_without: tuple[str, ...]
    products_without: tuple[str, ...]
    """Tokens of product names of GPUs that do not report remapped rows."""
    source: str


class _Framebuffer(msgspec.Struct, frozen=True, kw_only=True):
    used_ratio: float
    sustain_s: int
    source: str


class _Pcie(msgspec.Struct, frozen=True, kw_only=True):
    replays_per_minute: float
    sustain_s: int
    source: str


class _Exporter(msgspec.Struct, frozen=True, kw_only=True):
    sustain_s: int
    frozen_s: int
    source: str


class _OutOfService(msgspec.Struct, frozen=True, kw_only=True):
    stuck_s: int
    """Time that a node may stay out of service after its stated cause is gone."""
    upgrade_pending_s: int
    refused_pods: int
    refused_within_s: int
    source: str


class _OutsideValidation(msgspec.Struct, frozen=True, kw_only=True):
    lasts_s: int
    """Time for which a test by another tool proves that CUDA works, on a node that has not rebooted."""
    source: str

    @property
    def lasts(self) -> timedelta:
        return timedelta(seconds=self.lasts_s)


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of thresholds.toml, by the rule that reads it."""

    telemetry: _Telemetry
    xid: _Xid
    thermal: _Thermal
    throttling: _Throttling
    clock_events: _ClockEvents
    nvlink: _Nvlink
    ecc: _Ecc
    row_remap: _RowRemap
    framebuffer: _Framebuffer
    pcie: _Pcie
    exporter: _Exporter
    out_of_service: _OutOfService
    outside_validation: _OutsideValidation


@cache
def load() -> Thresholds:
    """Returns the thresholds that ship with Muster; a malformed file fails loudly."""
    text = resources.files(__package__).joinpath("thresholds.toml").read_bytes()
    return msgspec.toml.decode(text, type=Thresholds)
