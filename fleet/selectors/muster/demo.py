"""The demonstration: whether there is one, how far its month has been lived, and what to look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.dateparse import parse_datetime

MOST_LINKS = 8


@dataclass(frozen=True, slots=True)
class Link:
    """One thing to look at."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Demo:
    """State of the demonstration."""

    state: str
    """preparing, living, done, or failed."""
    reason: str
    """Why it failed; else empty."""
    percent: int
    """How much of the month has been lived."""
    day: int
    days: int
    links: tuple[Link, ...]

    @property
    def is_going_on(self) -> bool:
        """Whether there will be more of it in a moment."""
        return self.state in ("preparing", "living")


def demo() -> Demo | None:
    """Returns the state of the demonstration; None where Muster reads real clusters or the demonstration is switched off."""
    if not settings.DEMO:
        return None
    kept = read()
    begins, ends, at = (_moment(kept.get(name)) for name in ("begins", "ends", "lived_until"))
    days, day, percent = 30, 0, 0
    if begins is not None and ends is not None and begins < ends:
        days = (ends - begins).days
        if at is not None:
            day = min(days, max(0, (at - begins).days))
            percent = min(100, max(0, round(100 * (at - begins) / (ends - begins))))
    links = [link for link in kept.get("links", ()) if isinstance(link, dict)]
    return Demo(
        state=str(kept.get("state", "preparing")),
        reason=str(kept.get("reason", ""))[:300],
        percent=percent,
        day=day,
        days=days,
        links=tuple(Link(str(link.get("text", "")), str(link.get("url", ""))) for link in links[:MOST_LINKS]),
    )


def is_lived() -> bool:
    """Returns whether the month was lived by an earlier start."""
    return read().get("state") == "done"


def state_file() -> Path:
    """Returns where the state is kept."""
    return settings.MUSTER_HOME / "demo" / "state.json"


def kubeconfig() -> Path:
    """Returns the kubeconfig of the demonstration's own cluster; there is none until its month has been lived."""
    return state_file().with_name("kubeconfig")


def read() -> dict[str, Any]:
    """Returns what the data folder says of the demonstration; empty before it began."""
    try:
        kept = json.loads(state_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _moment(text: object) -> datetime | None:
    return parse_datetime(text) if isinstance(text, str) else None
