"""A dump of a living installation, restored elsewhere: same pages, same history, an audit chain that goes on."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client

from fleet.embedded.postgres import binaries
from fleet.models import AuditEntry, Node, Role, User, VerdictPeriod
from fleet.selectors.audit import chain as audit_chain
from fleet.selectors.muster.invariants import breaches
from fleet.services.audit import audit
from fleet.services.clusters import register_clusters
from fleet.services.fleet_collection import collect_all
from fleet.simulator.server import Simulation
from tests.databases import address, empty_database, turned_to

pytestmark = pytest.mark.django_db(transaction=True)


def run(program: str, *arguments: str | Path) -> None:
    done = subprocess.run([binaries() / program, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def conninfo(database: str) -> str:
    return " ".join(f"{name}={value}" for name, value in address(database).items())


@pytest.fixture
def living(simulation: Simulation) -> Iterator[User]:
    """An installation that has read its clusters; it is written to until the test ends."""
    register_clusters()
    collect_all(trigger="first", timeout_s=60)
    admin = User.objects.create(username="ada", role=Role.ADMIN)
    audit(admin, "waiver.grant", "before", reason="before the dump")
    over, begun = threading.Event(), threading.Event()

    def write() -> None:
        try:
            while not over.is_set():
                with transaction.atomic():
                    audit(admin, "waiver.grant", "meanwhile")
                begun.set()
        finally:
            connections.close_all()

    writing = threading.Thread(target=write)
    writing.start()
    begun.wait(30)
    yield admin
    over.set()
    writing.join()


def shown(admin: User) -> dict[str, Any]:
    """What pages and API show of what was recorded."""
    client = Client()
    client.force_login(admin)
    node = Node.objects.select_related("cluster").order_by("cluster__name", "name")[0]
    path_of_node = f"nodes/{node.cluster.name}/{node.name}/"
    api = {
        path: client.get(f"/api/v1/{path}").json()
        for path in (f"{path_of_node}history/", f"{path_of_node}revisions/", "findings/", "nodes/", "pools/")
    }
    pages = {}
    for path in ("/", "/nodes/", f"/{path_of_node}", "/findings/", "/history/", "/clusters/"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        pages[path] = sorted(set(re.findall(r'href="(/[^"?]*)"', answer.content.decode())))
    return {"api": api, "pages": pages, "figures": summary(client)}


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Returns where two answers differ."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return [row for name in before for row in differences(before[name], after[name], f"{place}/{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            row for number, pair in enumerate(zip(before, after, strict=True)) for row in differences(*pair, f"{place}/{number}")
        ]
    return [] if before == after else [f"{place}: {before} is {after} now"]


def summary(client: Client) -> dict[str, Any]:
    body = client.get("/api/v1/fleet/summary/").json()
    return {name: body[name] for name in ("clusters", "nodes", "gpus", "slots")}


@pytest.mark.usefixtures("held_time")
def test_a_dump_of_a_living_installation_is_the_same_elsewhere(living: User, tmp_path: Path) -> None:
    before = shown(living)
    number, digest = audit_chain.head()
    periods = list(VerdictPeriod.objects.order_by("pk").values_list("pk", "node_id", "period", "verdict", "figures"))
    dump = tmp_path / "muster.dump"
    run("pg_dump", "--format=custom", f"--file={dump}", conninfo(connection.settings_dict["NAME"]))
    with empty_database("muster_restored") as elsewhere:
        run("pg_restore", "--no-owner", f"--dbname={conninfo(elsewhere)}", dump)
        with turned_to(elsewhere):
            assert not (changed := differences(before, shown(living))), chr(10).join(changed)
            assert (
                list(VerdictPeriod.objects.order_by("pk").values_list("pk", "node_id", "period", "verdict", "figures")) == periods
            )
            report = audit_chain.verify({number: digest})
            assert (report.breaches, report.number >= number) == ([], True)
            assert list(breaches(VerdictPeriod.objects.latest("pk").period.lower)) == []
            audit(living, "waiver.grant", "after")
            assert (audit_chain.head()[0], audit_chain.verify().breaches) == (report.number + 1, [])
            for change in ("UPDATE fleet_auditentry SET reason = 'x'", "DELETE FROM fleet_auditlink"):
                with pytest.raises(DatabaseError), connection.cursor() as cursor:
                    cursor.execute(change)
    assert AuditEntry.objects.filter(subject="after").count() == 0, "the first one was not touched"


def test_documented_commands_are_those_that_were_tested() -> None:
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    assert 'pg_dump --format=custom --file=muster.dump "$DATABASE_URL"' in page
    assert "pg_restore --no-owner --dbname=" in page
