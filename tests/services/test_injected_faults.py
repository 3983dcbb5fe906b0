"""Faults of a database's password, a broker's memory and a cluster's certificate, injected for real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet import tasks
from fleet.embedded import paths
from fleet.embedded.broker import Broker
from fleet.embedded.postgres import Postgres
from fleet.models import Cluster, Role
from fleet.services import schedule
from fleet.services.clusters import register_clusters
from fleet.services.collection import collect_cluster
from fleet.simulator.server import Simulation
from tests.embedded.helpers import ROOT, environment, free_port
from tests.factories import a_node, a_user
from tests.kept_clients import close_clients


@pytest.mark.django_db
def test_a_certificate_that_expires_and_is_renewed(simulation: Simulation) -> None:

    cluster = register_clusters()[0]
    outcomes = []
    for certificate in ("", "expired", "other_host", ""):
        simulation.faults(cluster.name).set(certificate=certificate)
        close_clients()  # connections that are open go on; a certificate is shown to new ones
        run = collect_cluster(cluster, trigger="cli")
        assert run is not None
        outcomes.append(run.outcome)
        if certificate:
            assert "certificate" in run.error.lower(), run.error
        cluster.refresh_from_db()
        assert (cluster.failing_since is not None) is bool(certificate)
    assert outcomes == ["ok", "failed", "failed", "ok"]
    assert cluster.nodes.filter(removed_at=None).exists()


def test_a_wrong_password_of_the_database_is_a_sentence_without_it(tmp_path: Path) -> None:
    home = tmp_path / "database"
    home.mkdir()
    server = Postgres(home, forgetful=True)
    server.start()
    try:
        server.wait()
        (server.data / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        subprocess.run(["kill", "-HUP", (server.data / "postmaster.pid").read_text().split()[0]], check=True)
        address = paths.database_url(home).replace("muster@", "muster:not-the-one@")
        more = {"DATABASE_URL": address, "MUSTER_HOME": str(tmp_path / "home")}
        done = subprocess.run(
            [sys.executable, "manage.py", "run", "--port", str(free_port())],
            cwd=ROOT,
            env=environment(**more, MUSTER_NO_BOOTSTRAP="1"),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        server.stop()
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("The database cannot be used: ")
    assert "password authentication failed" in done.stderr
    assert "not-the-one" not in done.stderr


@pytest.mark.django_db
def test_a_full_broker_loses_wake_ups_and_nothing_else(tmp_path: Path, settings: object) -> None:
    """A message that cannot be sent leaves the cluster due: the first tick after an interval sends another."""
    import redis
    from kombu.exceptions import OperationalError

    from fleet.config.celery import app

    broker = Broker(tmp_path, forgetful=True)
    broker.start()
    client = redis.Redis(unix_socket_path=str(broker.socket))
    try:
        broker.wait()
        cluster, now = Cluster.objects.create(name="east"), timezone.now()
        client.config_set("maxmemory", 1)
        schedule.take_due(now)
        with app.connection_for_write(broker.url) as connection, pytest.raises((OperationalError, redis.RedisError)):
            tasks.collect_next.apply_async(connection=connection, retry=False)
        client.config_set("maxmemory", 0)
        later = now + schedule.settings.COLLECT_INTERVAL
        assert schedule.take_due(later) == [cluster.pk]
        with app.connection_for_write(broker.url) as connection:
            tasks.collect_next.apply_async(connection=connection, retry=False)
        assert client.llen("collect") == 1
    finally:
        broker.stop()


_ASK = """
import django
django.setup()
from django.conf import settings
from django.test import Client
client = Client(raise_request_exception=False, headers={"authorization": "Bearer a-token"})
client.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
for path in ("/readyz", "/healthz", "/nodes/", "/api/v1/nodes/"):
    answer = client.get(path, headers={"host": "localhost"})
    print(path, answer.status_code, answer.headers.get("Retry-After", "-"), answer.content.decode().replace("\\n", " "))
"""


@pytest.mark.django_db(transaction=True)
def test_locked_tables_cost_their_pages_an_answer_and_no_probe() -> None:
    """As a migration or a dump with a lock of its own leaves them; the wait for a lock is shortened, its end is not."""
    client = Client(raise_request_exception=False)
    client.force_login(a_user("ada", Role.ADMIN))
    a_node("n1")
    other = connections["default"].copy()
    try:
        with other.cursor() as holder, connection.cursor() as cursor:
            holder.execute("BEGIN; LOCK TABLE fleet_node IN ACCESS EXCLUSIVE MODE")
            cursor.execute("SET lock_timeout = '100ms'")
            for path in ("/nodes/", "/api/v1/nodes/"):
                answer = client.get(path)
                assert (answer.status_code, answer["Retry-After"]) == (503, "10"), path
            with CaptureQueriesContext(connection) as queries:
                assert client.get("/healthz").status_code == 200
            assert len(queries) == 0
            holder.execute("ROLLBACK")
            assert client.get("/nodes/").status_code == 200
            cursor.execute("RESET lock_timeout")
    finally:
        other.close()


def test_the_web_server_waits_shorter_for_a_lock_than_its_readers_do() -> None:
    code = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS']['options'])"
    more = {"DJANGO_SETTINGS_MODULE": "fleet.config.settings"}
    command = [sys.executable, "-c", code, "fleet.embedded.web"]
    done = subprocess.run(command, cwd=ROOT, env=environment(**more), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "-c statement_timeout=15s -c lock_timeout=3s"


def _hold_all(server: Postgres, held: list[psycopg.Connection[Any]]) -> None:
    """Connects until the server refuses, which raises."""
    while len(held) < 100:
        held.append(psycopg.connect(host=str(server.sockets), user=paths.ROLE, dbname=paths.DATABASE))


def test_at_its_connection_limit_the_database_is_why_muster_is_not_ready(tmp_path: Path) -> None:
    """All connections are held, those for superusers too, as by other programs of the same server."""
    home = tmp_path / "database"
    home.mkdir()
    server = Postgres(home, forgetful=True)
    server.prepare()
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("max_connections = 8\nmax_wal_senders = 0\n")
    server.start()
    held: list[psycopg.Connection[Any]] = []
    try:
        server.wait()
        address = paths.database_url(home)
        settings = {"DATABASE_URL": address, "MUSTER_HOME": str(tmp_path / "home"), "MUSTER_METRICS_TOKEN": "a-token"}
        more = {"DJANGO_SETTINGS_MODULE": "fleet.config.settings", "MUSTER_NO_BOOTSTRAP": "1", "ALLOWED_HOSTS": "localhost"}

        def ask() -> dict[str, list[str]]:
            command = [sys.executable, "-c", _ASK]
            done = subprocess.run(
                command, cwd=ROOT, env=environment(**settings, **more), capture_output=True, text=True, check=True, timeout=60
            )
            return {row[0]: row[1:] for row in (line.split(" ", 3) for line in done.stdout.splitlines())}

        before = ask()
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            _hold_all(server, held)
        limited = ask()
    finally:
        for connection in held:
            connection.close()
        server.stop()
    assert "too many clients" not in before["/readyz"][2], "the fault is the limit, nothing else"
    status, _, body = limited["/readyz"]
    assert (status, "sorry, too many clients already" in body) == ("503", True)
    assert limited["/healthz"][0] == "200"
    for path in ("/nodes/", "/api/v1/nodes/"):
        assert limited[path][:2] == ["503", "10"], limited[path]
        assert "database" in limited[path][2], "it says what cannot be used"
