"""The demonstration: whether it exists, its progress, and links to its most interesting pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.utils.dateparse import parse_datetime

MOST_LINKS = 8


@dataclass(frozen=True, slots=True)
class Link:
    """A link to an interesting page."""

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
    """Finished part of the month."""
    day: int
    days: int
    links: tuple[Link, ...]

    @property
    def is_going_on(self) -> bool:
        """Whether it is still in progress."""
        return self.state in ("preparing", "living")


def demo() -> Demo | None:
    """Returns the state of the demonstration; None where Muster reads real clusters or the demonstration is disabled."""
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
    listed = kept.get("links")
    links = [link for link in listed if isinstance(link, dict)] if isinstance(listed, list) else []
    return Demo(
        state=str(kept.get("state", "preparing")),
        reason=str(kept.get("reason", ""))[:300],
        percent=percent,
        day=day,
        days=days,
        links=tuple(Link(str(link.get("text", "")), str(link.get("url", ""))) for link in links[:MOST_LINKS]),
    )


def is_lived() -> bool:
    """Returns whether an earlier start finished the month."""
    return read().get("state") == "done"


def state_file() -> Path:
    """Returns the path of the state file."""
    return settings.MUSTER_HOME / "demo" / "state.json"


def kubeconfig() -> Path:
    """Returns the kubeconfig of the demonstration's own cluster; there is none until its month is finished."""
    return state_file().with_name("kubeconfig")


def read() -> dict[str, object]:
    """Returns the state of the demonstration in the data folder; empty before it began."""
    try:
        kept = json.loads(state_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _moment(text: object) -> datetime | None:
    return parse_datetime(text) if isinstance(text, str) else None
