"""How one try to deliver ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """Whether it was accepted; if not, why, whether a retry is useless, and how long the receiver asked to wait."""

    ok: bool
    error: str = ""
    lasting: bool = False
    wait_s: float | None = None
