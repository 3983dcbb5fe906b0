"""Rows of a node's table of GPUs, and the drawing of its slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fleet.domain.devices import drawing
from fleet.models import FindingRow, Gpu


@dataclass(frozen=True, slots=True)
class Reading:
    """One value, or why there is none."""

    value: float | None
    why: str = ""
    """In a word or two, where the value is None."""
    enable: str = ""
    """The line of the exporter's counters CSV that enables it; empty where that is not the reason."""
    reason: str = ""
    """Why, as one plain sentence."""


@dataclass(frozen=True, slots=True)
class Xid:
    code: int
    last_at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class PodOn:
    """A pod that the exporter names on a GPU, as far as Muster knows it."""

    namespace: str
    name: str
    squatter: bool = False
    """It uses the GPU and holds no slot."""


@dataclass(frozen=True, slots=True)
class MigRow:
    profile: str
    instance: str
    fb_used: Reading
    fb_total: float | None
    engine: Reading
    """Share of time in which its graphics engine was active, in percent: DCGM reports no GPU use per instance."""
    pods: tuple[PodOn, ...]


@dataclass(frozen=True, slots=True)
class GpuRow:
    """One physical GPU."""

    index: str
    uuid: str
    product: str
    memory_mib: float | None
    readings: Mapping[str, Reading]
    at: datetime | None
    """Moment of its newest sample."""
    silent: bool
    """It was measured before and is not any more: everything about it is unmeasured."""
    gone: bool
    """Without samples, or only with its last Xid, while the node's other GPUs report: the GPU itself is lost."""
    xids: tuple[Xid, ...]
    pods: tuple[PodOn, ...]
    unclaimed: bool
    """In use, though the exporter, which names pods on this node, names none on it."""
    migs: tuple[MigRow, ...]
    findings: tuple[FindingRow, ...]

    @property
    def broken(self) -> bool:
        """It is lost, or a rule excludes it from use."""
        return self.gone or any(finding.severity in ("fatal", "critical") for finding in self.findings)

    @property
    def squatted(self) -> bool:
        return self.unclaimed or any(pod.squatter for pod in self.pods)


@dataclass(frozen=True, slots=True)
class GpuTable:
    rows: tuple[GpuRow, ...]
    why_none: str
    """Why there is no telemetry at all; empty where there is."""
    off: tuple[tuple[str, str], ...]
    """(title, line of the counters CSV) of metrics that the exporter does not export."""
    cards: tuple[Gpu, ...]
    """What is known of the GPUs without telemetry."""
    newest: datetime | None
    sources: tuple[str, ...]
    measured: bool


@dataclass(frozen=True, slots=True)
class SlotDrawing:
    """The slots of one resource, drawn."""

    drawn: drawing.Drawing
    is_measured: bool = False
    """Whether its cells show what each GPU does by telemetry, instead of how many slots are requested."""
