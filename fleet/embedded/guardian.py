"""Where the system cannot end children with their parent (anywhere but on Linux), a small process does it.

It reads, on a pipe that only the supervisor writes to, who is to be watched. When the pipe closes without the final message,
the supervisor is dead, and the guardian ends the process groups it still knows. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_S = 5.0


class Guardian:
    """The supervisor's end of the pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,
        )
        self.pid = self._process.pid

    def watch(self, pid: int) -> None:
        """From now on the process group `pid` ends with this process."""
        self._tell(f"+{pid}")

    def forget(self, pid: int) -> None:
        """The process group `pid` has ended."""
        self._tell(f"-{pid}")

    def close(self) -> None:
        """Every child has ended: the guardian may exit."""
        self._tell("bye")
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait(GRACE_S)

    def _tell(self, word: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                self._process.stdin.write(word.encode() + b"\n")
                self._process.stdin.flush()


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        word = line.strip()
        if word == "bye":
            return
        (groups.add if word[0] == "+" else groups.discard)(int(word[1:]))
    for request, patience in ((signal.SIGINT, GRACE_S), (signal.SIGKILL, 0.0)):
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, request)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and any(_exists(group) for group in groups):
            time.sleep(0.05)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
