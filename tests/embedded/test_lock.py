from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleet.embedded.lock import HomeLock, HomeTakenError, read_holder
from fleet.embedded.processes import StartError
from tests.embedded.helpers import cleaned_up, first_line, python

HOLD = """
import sys, time
from pathlib import Path
from fleet.embedded.lock import HomeLock
lock = HomeLock(Path({home!r}), "run")
lock.acquire()
lock.announce(port=8123, url="http://127.0.0.1:8123/", ready=True)
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_holder_sees_the_owner_and_its_address(tmp_path: Path) -> None:
    with cleaned_up(python(HOLD.format(home=str(tmp_path)))) as holder:
        first_line(holder)
        with pytest.raises(HomeTakenError) as refusal:
            HomeLock(tmp_path, "run").acquire()
    assert str(refusal.value) == (f"Muster is already running in this folder: pid {holder.pid}, http://127.0.0.1:8123/")
    assert refusal.value.holder is not None
    assert refusal.value.holder.ready


def test_a_killed_holder_frees_the_lock_and_leaves_its_word(tmp_path: Path) -> None:
    with cleaned_up(python(HOLD.format(home=str(tmp_path)))) as holder:
        first_line(holder)
        holder.kill()
        holder.wait()
        with HomeLock(tmp_path, "collect") as lock:
            assert lock.previous is not None
            assert (lock.previous.pid, lock.previous.port) == (holder.pid, 8123)
            now = read_holder(tmp_path)
            assert now is not None
            assert (now.pid, now.command, now.port, now.ready) == (os.getpid(), "collect", None, False)


def test_what_a_dead_holder_left_is_not_taken_for_the_word_of_the_next_one(tmp_path: Path) -> None:
    with HomeLock(tmp_path, "run"):
        (tmp_path / "lock").write_text('{"pid": 999999999, "command": "run", "url": "http://127.0.0.1:1/"}')
        with pytest.raises(HomeTakenError, match="already starting in this folder"):
            HomeLock(tmp_path, "run").acquire()


def test_a_released_lock_says_nothing_and_can_be_taken(tmp_path: Path) -> None:
    with HomeLock(tmp_path, "run"):
        pass
    assert read_holder(tmp_path) is None
    with HomeLock(tmp_path, "run") as lock:
        assert lock.previous is None


def test_a_command_that_uses_the_folder_is_named(tmp_path: Path) -> None:
    with HomeLock(tmp_path, "collect"), pytest.raises(HomeTakenError, match=rf"manage.py collect.*{os.getpid()}"):
        HomeLock(tmp_path, "run").acquire()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="set MUSTER_HOME to your own folder"):
        HomeLock(tmp_path / "file" / "var", "run").acquire()


def test_a_folder_we_may_not_write_to_is_a_sentence(tmp_path: Path) -> None:
    """Root may write everywhere, so the test runs as another user."""
    tmp_path.chmod(0o500)
    code = f"""
import os
from pathlib import Path
from fleet.embedded.lock import HomeLock
from fleet.embedded.processes import StartError
if os.getuid() == 0:
    os.setuid(65534)
try:
    HomeLock(Path({str(tmp_path)!r}), "run").acquire()
except StartError as error:
    print(error, flush=True)
"""
    with cleaned_up(python(code)) as asked:
        assert "may not write to the data folder" in first_line(asked)
