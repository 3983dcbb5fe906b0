"""Contexts that lead to one cluster: collected once, over HTTP, and named wherever people look."""

from __future__ import annotations

import select
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from msgspec.structs import replace

from fleet.collectors.connections import _own_authority
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.models import Cluster, Node, RunOutcome, SameBy
from fleet.selectors.clusters import cluster_rows, other_contexts
from fleet.services import clusters, same_cluster
from fleet.services.clusters import register_clusters
from fleet.services.collection import collect_cluster
from fleet.simulator.server import Simulation
from tests.beside import environment_beside
from tests.factories import a_user
from tests.kept_clients import close_clients

pytestmark = pytest.mark.django_db
Configure = Callable[..., None]
ROOT = Path(__file__).resolve().parents[2]
NAME = "prod-us-east"


@pytest.fixture
def configure(simulation: Simulation, tmp_path: Path) -> Configure:
    """Writes a kubeconfig of (context, server URL, token) for the first cluster and sets Muster to it."""
    ca = yaml.safe_load(Path(settings.MUSTER_KUBECONFIG).read_text())["clusters"][0]["cluster"]["certificate-authority-data"]

    def write(*contexts: tuple[str, str, str], proxy: str = "") -> None:
        def entry(name: str, server: str) -> dict[str, Any]:
            last = {"proxy-url": proxy} if proxy and name == contexts[-1][0] else {}
            return {"name": name, "cluster": {"server": server, "certificate-authority-data": ca, **last}}

        path = tmp_path / f"config-{len(list(tmp_path.iterdir()))}"
        config = {
            "clusters": [entry(name, server) for name, server, _ in contexts],
            "users": [{"name": name, "user": {"token": token}} for name, _, token in contexts],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name, _, _ in contexts],
        }
        path.write_text(yaml.safe_dump(config))
        settings.MUSTER_KUBECONFIG = str(path)

    return write


@pytest.fixture
def tokens(simulation: Simulation) -> dict[str, str]:
    access = simulation.fleet[NAME].access
    return {"reader": access.reader_token, "narrow": access.narrow_token, "nobody": access.nobody_token, "wrong": "expired"}


def collect(*names: str) -> None:
    rows = {row.name: row for row in register_clusters()}
    for name in names:
        run = collect_cluster(rows[name], trigger="cli")
        assert run is not None


def other_of(simulation: Simulation) -> str:
    return next(name for name in simulation.servers if name != NAME)


def counted() -> int:
    return Node.objects.filter(removed_at=None, cluster__removed_at=None).count()


def kept() -> dict[str, tuple[str, str]]:
    """Context to (the name it is collected under, what shows that)."""
    rows = Cluster.objects.filter(same_as__isnull=False).select_related("same_as")
    return {row.name: (row.same_as.name if row.same_as else "", row.same_by) for row in rows}


def test_one_address_is_collected_once_before_anything_is_read(
    configure: Configure, simulation: Simulation, tokens: dict[str, str]
) -> None:
    url = simulation.server_url(NAME)
    configure(("blue", url, tokens["reader"]), ("green", f"{url}/", tokens["reader"]))
    assert [row.name for row in register_clusters()] == ["blue"]
    assert kept() == {"green": ("blue", SameBy.ADDRESS)}
    collect("blue")
    (row,) = cluster_rows(timezone.now())
    assert (row.cluster.name, row.nodes) == ("blue", counted())
    assert [context.name for context in row.other_contexts] == ["green"]
    assert [row.name for row in register_clusters()] == ["blue"], "again"


def test_another_way_to_an_address_may_be_another_cluster(
    configure: Configure, simulation: Simulation, tokens: dict[str, str]
) -> None:
    url = simulation.server_url(NAME)
    configure(("blue", url, tokens["reader"]), ("green", url, tokens["reader"]), proxy="http://127.0.0.1:9")
    assert [row.name for row in register_clusters()] == ["blue", "green"]


def test_another_address_is_found_by_the_uid_of_kube_system(
    configure: Configure, simulation: Simulation, tokens: dict[str, str]
) -> None:
    blue = ("blue", simulation.server_url(NAME), tokens["reader"])
    green = ("green", simulation.prefix_url(NAME), tokens["reader"])
    configure(blue, green)
    collect("green", "blue")  # whichever is first: the first of the configuration keeps it
    assert kept() == {"green": ("blue", SameBy.UID)}
    nodes = counted()
    assert nodes == Cluster.objects.get(name="blue").nodes.filter(removed_at=None).count() > 0
    assert [row.name for row in register_clusters()] == ["blue"]
    # two different clusters stay two
    other_name = other_of(simulation)
    other = ("other", simulation.server_url(other_name), simulation.token(other_name))
    configure(blue, green, other)
    collect("blue", "other")
    assert kept() == {"green": ("blue", SameBy.UID)}
    assert counted() > nodes


def test_a_run_locks_the_rows_that_change_and_no_others(
    configure: Configure, simulation: Simulation, tokens: dict[str, str]
) -> None:
    """First runs of many clusters that each locked every row waited for each other's until one was ended: a deadlock."""
    configure(("blue", simulation.server_url(NAME), tokens["reader"]), ("green", simulation.prefix_url(NAME), tokens["reader"]))
    rows = {row.name: row for row in register_clusters()}
    with CaptureQueriesContext(connection) as queries:
        for row in rows.values():
            collect_cluster(row, trigger="cli")
    assert kept() == {"green": ("blue", SameBy.UID)}
    locking = [query["sql"] for query in queries if query["sql"].endswith("FOR UPDATE") and '"fleet_cluster"' in query["sql"]]
    assert any(" IN (" in sql for sql in locking)
    assert not [sql for sql in locking if "WHERE" not in sql]


def test_a_context_that_appears_later_leaves_the_history_where_it_is(
    configure: Configure, simulation: Simulation, tokens: dict[str, str]
) -> None:
    old = ("zeta", simulation.server_url(NAME), tokens["reader"])
    configure(old)
    collect("zeta")
    Cluster.objects.update(first_read_at=timezone.now() - timedelta(days=30))
    configure(("alpha", simulation.prefix_url(NAME), tokens["reader"]), old, ("beta", old[1], tokens["narrow"]))
    collect("alpha")
    assert kept() == {"alpha": ("zeta", SameBy.UID), "beta": ("zeta", SameBy.ADDRESS)}
    run = Cluster.objects.get(name="alpha").runs.get()
    assert run.outcome == RunOutcome.OK
    assert run.error == (
        "This context leads to the same cluster as zeta (same UID of namespace kube-system), under whose name it is collected."
    )
    assert not Node.objects.filter(cluster__name="alpha").exists()


@pytest.mark.parametrize("order", ["narrow first", "narrow second"])
def test_where_kube_system_may_not_be_read_node_uids_show_it(
    configure: Configure, simulation: Simulation, tokens: dict[str, str], order: str
) -> None:
    narrow = ("narrow", simulation.prefix_url(NAME), tokens["narrow"])
    whole = ("whole", simulation.server_url(NAME), tokens["reader"])
    first, second = (narrow, whole) if order == "narrow first" else (whole, narrow)
    configure(first, second)
    collect(first[0], second[0])
    assert kept() == {second[0]: (first[0], SameBy.NODES)}
    assert [row.name for row in register_clusters()] == [first[0]]


@pytest.mark.parametrize("weak", ["narrow", "nobody", "wrong"])
def test_of_one_address_the_context_that_is_refused_least_is_used(
    configure: Configure, simulation: Simulation, tokens: dict[str, str], weak: str
) -> None:
    url = simulation.server_url(NAME)
    configure(("weak", url, tokens[weak]), ("strong", url, tokens["reader"]))
    collect("weak")
    row = Cluster.objects.get(name="weak")
    assert row.read_through == "strong"
    collect("weak")
    collect("weak")
    row.refresh_from_db()
    assert (row.read_through, row.outcome) == ("strong", RunOutcome.OK)
    assert [context.is_used for context in other_contexts(row)] == [True]
    assert {node.cluster.name for node in Node.objects.select_related("cluster")} == {"weak"}


def test_two_weak_contexts_do_not_alternate(configure: Configure, simulation: Simulation, tokens: dict[str, str]) -> None:
    url = simulation.server_url(NAME)
    configure(("one", url, tokens["narrow"]), ("two", url, tokens["narrow"]), ("none", url, tokens["nobody"]))
    used = []
    for _ in range(6):
        used.append(Cluster.objects.filter(name="one").values_list("read_through", flat=True).first() or "one")
        collect("one")
    assert used[:3] == ["one", "two", "none"]
    assert len(set(used[3:])) == 1
    assert used[3] in ("one", "two")


def test_a_context_gets_its_own_cluster_back(configure: Configure, simulation: Simulation, tokens: dict[str, str]) -> None:
    url = simulation.server_url(NAME)
    blue, green = ("blue", url, tokens["reader"]), ("green", url, tokens["reader"])
    configure(blue, green)
    collect("blue")
    configure(green)
    assert [row.name for row in register_clusters()] == ["green"], "the other one left the configuration"
    configure(blue, green)
    collect(*(row.name for row in register_clusters()))
    assert counted() == len(set(Node.objects.filter(removed_at=None, cluster__removed_at=None).values_list("uid", flat=True)))
    other_name = other_of(simulation)
    moved = ("green", simulation.server_url(other_name), simulation.token(other_name))
    configure(blue, moved)
    assert [row.name for row in register_clusters()] == ["blue", "green"], "it leads elsewhere now"


@pytest.mark.django_db(transaction=True)
def test_page_api_and_command_name_the_other_context(
    configure: Configure, simulation: Simulation, tokens: dict[str, str], client: Client
) -> None:
    url = simulation.server_url(NAME)
    configure(("blue", url, tokens["reader"]), ("green", url, tokens["narrow"]))
    command = [sys.executable, "manage.py", "collect", "green"]
    done = subprocess.run(command, cwd=ROOT, env=environment_beside(), capture_output=True, text=True, check=False)
    assert "Context green leads to the same cluster as blue: collecting blue." in done.stdout, done.stderr
    assert "context green leads to the same cluster (same address and certificate authority)" in done.stdout
    client.force_login(a_user("ada"))
    assert "Also context green" in client.get("/clusters/").content.decode()
    page = client.get("/clusters/green/", follow=True)
    assert page.redirect_chain[-1][0] == "/clusters/blue/"
    assert "Not collected a second time." in page.content.decode()
    (cluster,) = client.get("/api/v1/clusters/").json()["results"]
    assert cluster["other_contexts"] == [
        {"name": "green", "server": url, "reason": "same address and certificate authority", "is_used": False}
    ]
    assert client.get("/api/v1/fleet/summary/").json()["clusters"] == 1
    missing = client.get("/api/v1/clusters/green/")
    assert (missing.status_code, "same cluster as blue" in missing.json()["detail"]) == (404, True)


class Relay(socketserver.ThreadingTCPServer):
    """A second address of a server, which can be taken away while the server answers at its first one."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.target = ("127.0.0.1", port)
        super().__init__(("127.0.0.1", 0), _Relayed)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"


class _Relayed(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as away:
            ends = {self.request: away, away: self.request}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    if not (content := end.recv(65_536)):
                        return
                    ends[end].sendall(content)


@pytest.fixture
def two_addresses(configure: Configure, simulation: Simulation, tokens: dict[str, str]) -> Iterator[Relay]:
    """The contexts blue and green lead to one cluster by two addresses, and both were read."""
    url = simulation.server_url(NAME)
    with Relay(int(url.rpartition(":")[2])) as relay:
        configure(("blue", relay.url, tokens["reader"]), ("green", url, tokens["reader"]))
        collect("blue", "green")
        assert kept() == {"green": ("blue", SameBy.UID)}
        yield relay
        relay.shutdown()


def test_while_the_context_in_use_does_not_answer_the_one_at_another_address_stands_in(two_addresses: Relay) -> None:
    nodes = counted()
    two_addresses.shutdown()
    two_addresses.server_close()
    close_clients()
    collect("blue")
    row = Cluster.objects.get(name="blue")
    assert (row.outcome, row.read_through) == (RunOutcome.FAILED, "green")
    read_at = row.read_at
    for _ in range(3):
        collect("blue")
        row.refresh_from_db()
        assert (row.outcome, row.failing_since, row.read_through) == (RunOutcome.OK, None, "green")
    assert read_at is not None
    assert row.read_at is not None
    assert row.read_at > read_at
    assert [(context.name, context.is_used) for context in other_contexts(row)] == [("green", True)]
    assert {node.cluster.name for node in Node.objects.select_related("cluster")} == {"blue"}
    assert (counted(), [item.name for item in register_clusters()]) == (nodes, ["blue"])


def test_where_neither_answers_they_take_turns_until_one_does(two_addresses: Relay) -> None:
    contexts = clusters.connections()
    row = Cluster.objects.get(name="blue")
    down = {name: SectionReport(name=name, outcome=Outcome.UNREACHABLE) for name in ("version", "nodes")}
    turns = []
    for minute in range(4):
        turns.append(row.read_through or "blue")
        snapshot = ClusterSnapshot(name="blue", taken_at=timezone.now() + timedelta(minutes=minute), sections=down)
        same_cluster.note_context(row, snapshot, contexts)
    assert turns == ["blue", "green", "blue", "green"]


def test_another_cluster_of_the_same_authority_is_never_recorded_under_the_name(
    configure: Configure, simulation: Simulation, two_addresses: Relay, tokens: dict[str, str]
) -> None:
    """The other address leads to another cluster since; its certificate is of the same authority."""
    other = other_of(simulation)
    configure(("blue", two_addresses.url, tokens["reader"]), ("green", simulation.server_url(other), simulation.token(other)))
    Cluster.objects.filter(name="blue").update(read_through="green")
    before = set(Node.objects.filter(cluster__name="blue").values_list("uid", flat=True))
    collect("blue")
    row = Cluster.objects.get(name="blue")
    run = row.runs.order_by("-pk")[0]
    assert run.error == "Context green, which stood in for blue, leads to another cluster now. Nothing was recorded."
    assert (run.outcome, row.read_through) == (RunOutcome.FAILED, "")
    assert set(Node.objects.filter(cluster__name="blue").values_list("uid", flat=True)) == before


@pytest.mark.parametrize("change", ["another authority", "no authority", "not verified"])
def test_an_address_that_proves_no_common_authority_never_stands_in(two_addresses: Relay, change: str) -> None:
    contexts = clusters.connections()
    row = Cluster.objects.get(name="blue")
    entry: dict[str, Any] = {"server": contexts["green"].server, "certificate-authority-data": "aGVsbG8="}
    if change == "no authority":
        entry.pop("certificate-authority-data")
    entry |= {"insecure-skip-tls-verify": True} if change == "not verified" else {}
    green = replace(contexts["green"], own_authority=_own_authority(entry))
    down = {"nodes": SectionReport(name="nodes", outcome=Outcome.TIMEOUT)}
    snapshot = ClusterSnapshot(name="blue", taken_at=timezone.now(), sections=down)
    same_cluster.note_context(row, snapshot, contexts | {"green": green})
    assert row.read_through == ""
    same_cluster.note_context(row, snapshot, contexts)
    assert row.read_through == "green"
