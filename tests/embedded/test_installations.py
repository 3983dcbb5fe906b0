"""Two installations on one database: the second is refused, and one that is there all the same is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from fleet.config import env
from fleet.embedded import paths
from fleet.embedded.postgres import Postgres
from fleet.selectors.muster import alarms, installations
from tests.embedded.helpers import ROOT, environment, free_port

OWN, OTHER = "muster 0123456789abcdef", "muster fedcba9876543210"


@pytest.fixture
def connected(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Connects under a name, as another process would."""
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "application_name", OWN)
    opened: list[psycopg.Connection[Any]] = []

    def connect(name: str) -> None:
        database = connection.settings_dict
        opened.append(
            psycopg.connect(
                host=database["HOST"],
                port=database["PORT"] or None,
                user=database["USER"],
                dbname=database["NAME"],
                application_name=name,
            )
        )

    yield connect
    for each in opened:
        each.close()


def test_processes_of_one_installation_and_commands_without_a_key_are_no_other(connected: Any) -> None:
    for name in (OWN, OWN, "muster", "psql", "muster of mine"):
        connected(name)
    assert installations.others() == 0
    assert alarms.second_installation() is None


def test_two_of_one_other_key_are_one_other(connected: Any) -> None:
    connected(OTHER)
    connected(OTHER)
    assert installations.others() == 1
    alarm = alarms.second_installation()
    assert alarm is not None
    assert alarm.id == "installations"


def test_a_second_run_with_a_folder_of_its_own_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "database"
    home.mkdir()
    server = Postgres(home, forgetful=True)
    server.start()
    try:
        server.wait()
        address = paths.database_url(home)
        with psycopg.connect(
            host=str(paths.socket_dir(home)), user=paths.ROLE, dbname=paths.DATABASE, application_name=OTHER
        ) as first:
            done = subprocess.run(
                [sys.executable, "manage.py", "run", "--port", str(free_port())],
                cwd=ROOT,
                env=environment(DATABASE_URL=address, MUSTER_HOME=str(tmp_path / "second"), MUSTER_NO_BOOTSTRAP="1"),
                capture_output=True,
                text=True,
                check=False,
                timeout=90,
            )
            tables = first.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    finally:
        server.stop()
    assert done.returncode == 1
    assert done.stderr.startswith("Another installation of Muster uses this database."), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert tables == (0,)


def test_the_name_of_our_connections_does_not_give_the_key_away() -> None:
    name = env.application_name("the key")
    assert "key" not in name
    assert len(name) == len(OWN)
    assert env.application_name("") == "muster"
