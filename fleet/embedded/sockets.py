"""The folder of the servers' sockets."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from fleet.embedded.processes import StartError


def make_socket_dir(folder: Path) -> None:
    """Closed to others, because whoever reaches the socket is let in. Below /tmp somebody may have been there first."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise StartError(f"{folder} belongs to another user: remove it, or set MUSTER_HOME to a shorter path.")
    folder.chmod(0o700)
