"""Whether the kernel killed a process for lack of memory, as its own counter says (Linux)."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

COUNTERS = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events"))
"""Of the machine, memory limits of containers included; of our own control group where that file is hidden."""


def kills() -> int | None:
    """Returns how many processes the kernel has killed for lack of memory since it booted; None where it does not count them."""
    for path in COUNTERS:
        with contextlib.suppress(OSError):
            if match := re.search(r"^oom_kill (\d+)$", path.read_text(encoding="ascii"), re.MULTILINE):
                return int(match[1])
    return None


def killed_since(before: int | None) -> bool:
    """Returns whether the counter has risen since it read `before`."""
    now = kills()
    return before is not None and now is not None and now > before
