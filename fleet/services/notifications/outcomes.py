"""How one try to deliver ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """Whether it was taken; if not, why, whether another try is pointless, and for how long the receiver asked us to wait."""

    ok: bool
    error: str = ""
    lasting: bool = False
    wait_s: float | None = None
