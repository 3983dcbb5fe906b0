"""The rungs in order. A new one is a file here and a line in the tuple."""

from __future__ import annotations

from fleet.domain.readiness.types import Rung

RUNGS: tuple[Rung, ...] = ()
