from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fleet.embedded import programs
from fleet.embedded.programs import PROGRAMS, Program
from tests.embedded.helpers import ROOT, environment
from tests.programs import can_be_had, need

ABSENT = Program("zork", ("no-such-program-zork",), "no-such-package-zork", "install zork")
INSTALLABLE = Program("frotz", ("no-such-program-frotz",), "bash", "apt install bash")


@pytest.fixture(autouse=True)
def _known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.name == "test_the_whole_command":
        return
    for program in (ABSENT, INSTALLABLE, Program("python", ("nothing-here", Path(sys.executable).name), "python3", "")):
        monkeypatch.setitem(PROGRAMS, program.name, program)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")


def test_a_program_that_is_there_is_found_by_any_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert Path(need("python")) == Path(sys.executable)


def test_one_that_is_not_there_leaves_the_test_out_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="frotz is not here: apt install bash"):
        need("frotz")


def test_in_ci_it_fails_unless_it_cannot_be_had_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr("tests.programs.can_be_had", lambda program: program is INSTALLABLE)
    with pytest.raises(pytest.fail.Exception, match="frotz is not here"):
        need("frotz")
    with pytest.raises(pytest.skip.Exception, match="zork is not here"):
        need("zork")


def test_whether_it_can_be_had_is_asked_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apt = tmp_path / "apt-cache"
    apt.write_text("#!/bin/sh\n[ $2 = bash ] && echo ' Candidate: 5.2' || echo ' Candidate: (none)'\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert can_be_had(INSTALLABLE) is True
    assert can_be_had(ABSENT) is False
    monkeypatch.setenv("PATH", "/nowhere")
    assert can_be_had(ABSENT) is True, "without apt a person may still find it"


def test_a_failed_apt_package_is_reported_and_the_others_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >> {tmp_path}/asked\n'
        'case "$*" in *no-such*) echo "E: Unable to locate" >&2; exit 100;; esac\n'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert programs.install([ABSENT, INSTALLABLE]) == [
        "apt could not install no-such-package-zork: E: Unable to locate",
    ]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[1] for line in asked] == ["update", "install", "install"]
    assert all(line.startswith("noninteractive ") for line in asked)
    assert asked[-1].endswith(" bash")


SUITE = """
import os, psycopg, redis, pytest
from fleet.embedded import programs
from tests.programs import can_be_had, need

def test_servers_of_its_own():
    from django.conf import settings
    host = settings.DATABASES["default"]["HOST"]
    with psycopg.connect(host=host, user="muster", dbname="muster") as database:
        assert database.execute("SHOW fsync").fetchone() == ("off",)
    assert redis.Redis(unix_socket_path=host + "/valkey.sock").ping()
    assert host.startswith(os.environ["MUSTER_HOME"])
    assert "MUSTER_KUBECONFIG" not in os.environ
    open({note!r}, "w").write(os.environ["MUSTER_HOME"])

def test_fails():
    assert False

def test_left_out(monkeypatch):
    monkeypatch.setitem(programs.PROGRAMS, "zork", programs.Program("zork", ("zork-zork",), "no-such-zork", "get zork"))
    need("zork")
"""


def test_the_whole_command(tmp_path: Path) -> None:
    """Servers of its own, pytest's exit code, what was left out by name, and pytest's closing line last."""
    (tmp_path / "test_suite.py").write_text(SUITE.format(note=str(tmp_path / "note")))
    done = subprocess.run(
        [
            sys.executable,
            "manage.py",
            "test",
            "-c",
            "pyproject.toml",
            "-q",
            "-p",
            "tests.programs",
            str(tmp_path / "test_suite.py"),
        ],
        cwd=ROOT,
        env=environment(MUSTER_NO_BOOTSTRAP="1", MUSTER_KUBECONFIG="/nowhere", DATABASE_URL="postgres://x@127.0.0.1:9/x", CI=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    lines = done.stdout.strip().splitlines()
    assert lines[-1].startswith("1 failed, 1 passed, 1 skipped")
    assert any("not run: zork is not here: get zork" in line for line in lines)
    assert not Path((tmp_path / "note").read_text()).exists(), "the temporary folder is gone"
