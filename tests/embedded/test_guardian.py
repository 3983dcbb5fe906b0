"""What ends children where the kernel does not. It works on every system, so it is tried on every system."""

from __future__ import annotations

import os
import signal

from tests.embedded.helpers import cleaned_up, ended, first_line, python, wait_until

PARENT = """
import subprocess, sys, time
from fleet.embedded.guardian import Guardian
guardian = Guardian()
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
children = [subprocess.Popen(sleep, process_group=0) for _ in range(3)]
for child in children:
    guardian.watch(child.pid)
guardian.forget(children[-1].pid)
print(guardian.pid, *(child.pid for child in children), flush=True)
"""


def test_a_killed_parent_takes_along_whom_the_guardian_watches() -> None:
    with cleaned_up(python(PARENT + "time.sleep(600)")) as parent:
        guardian, *watched, forgotten = map(int, first_line(parent).split())
        parent.kill()
        wait_until(lambda: all(map(ended, (guardian, *watched))))
        assert not ended(forgotten)
        os.killpg(forgotten, signal.SIGKILL)


def test_a_clean_exit_signals_no_process() -> None:
    with cleaned_up(python(PARENT + "guardian.close()")) as parent:
        guardian, *children = map(int, first_line(parent).split())
        parent.wait(10)
        wait_until(lambda: ended(guardian))
        assert not any(map(ended, children))
        for child in children:
            os.killpg(child, signal.SIGKILL)
