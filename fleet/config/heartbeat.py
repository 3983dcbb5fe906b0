"""Heartbeat of worker and beat: a file that is touched by their main loop."""

from __future__ import annotations

import contextlib
from pathlib import Path

from fleet.config import env

EVERY_S = 5.0


def touch() -> None:
    """Touches MUSTER_HEARTBEAT_FILE, where it is set. A full disk must not end the process."""
    path = env.text("MUSTER_HEARTBEAT_FILE")
    if path:
        with contextlib.suppress(OSError):
            Path(path).touch(mode=0o600)
