from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fleet.embedded import secret_key


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.setenv("SECRET_KEY_FILE", "")  # so that what provide() sets is undone


def test_it_is_made_once_and_kept_for_us_alone(tmp_path: Path) -> None:
    secret_key.provide(create=True)
    kept = tmp_path / "home" / "secret_key"
    assert os.environ["SECRET_KEY_FILE"] == str(kept)
    first = kept.read_text()
    assert len(first.strip()) >= 50
    assert kept.stat().st_mode & 0o777 == 0o600
    os.environ["SECRET_KEY_FILE"] = ""
    secret_key.provide(create=True)
    assert kept.read_text() == first
    assert sorted(path.name for path in kept.parent.iterdir()) == ["secret_key"]


def test_other_commands_use_it_and_make_none(tmp_path: Path) -> None:
    secret_key.provide(create=False)
    assert os.environ["SECRET_KEY_FILE"] == ""
    assert not (tmp_path / "home").exists()


def test_one_that_is_given_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "given")
    secret_key.provide(create=True)
    assert not (tmp_path / "home").exists()


def test_two_at_once_agree(tmp_path: Path) -> None:
    kept = tmp_path / "secret_key"
    gate = threading.Barrier(8)
    seen: list[str] = []

    def write(number: int) -> None:
        gate.wait()
        secret_key._write(kept, draft=tmp_path / f"draft{number}")
        seen.append(kept.read_text())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


def test_a_folder_that_cannot_be_written_is_left_to_who_says_it_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").touch()
    secret_key.provide(create=True)
    assert os.environ["SECRET_KEY_FILE"] == ""
