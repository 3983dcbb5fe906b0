"""Collection runs with failures, over real HTTP: a failure is reported with its section and affects no other."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fleet.collectors import nodes
from fleet.collectors.connections import Connection
from fleet.collectors.sections import SECTIONS
from fleet.collectors.session import Limits
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.simulator.faults import Faults
from fleet.simulator.server import Simulation
from tests.collectors.fake_api import Reply, serving, write_kubeconfig
from tests.collectors.passes import ASKED, NEED, SMALL, edit, look, only_connection, others, outcomes

pytestmark = pytest.mark.usefixtures("impatient")


# --- no server ---


@pytest.mark.parametrize(
    ("how", "outcome", "says"),
    [
        ("refused", Outcome.UNREACHABLE, "Connection refused"),
        ("blackhole", Outcome.UNREACHABLE, "Connection timed out"),
        ("hang", Outcome.TIMEOUT, "was not answered within"),
    ],
)
def test_an_unreachable_cluster_is_given_up_at_once(
    connection: Connection, faults: Faults, how: str, outcome: Outcome, says: str
) -> None:
    faults.set(unreachable=how)
    started = time.monotonic()
    snapshot = look(connection, deadline_s=2.0)
    assert time.monotonic() - started < 4
    assert snapshot.section("version").outcome is outcome
    assert says in snapshot.section("version").reason
    assert others(snapshot, "version") == {Outcome.SKIPPED}
    assert all(report.reason and report.hides for report in snapshot.sections.values())
    assert (snapshot.nodes, snapshot.pods, snapshot.node_count) == ((), (), None)


def test_a_cluster_that_comes_back_is_read_again(connection: Connection, faults: Faults, whole: ClusterSnapshot) -> None:
    faults.set(unreachable="refused")
    look(connection, deadline_s=3.0)
    faults.clear()
    assert look(connection).nodes == whole.nodes


def test_a_wrong_token(connection: Connection, faults: Faults) -> None:
    faults.set(unauthorised=True)
    snapshot = look(connection)
    assert snapshot.section("version").outcome is Outcome.UNAUTHORISED
    assert others(snapshot, "version") == {Outcome.SKIPPED}


def test_no_token_is_unauthorised_though_the_server_says_forbidden(simulation: Simulation, tmp_path: Path) -> None:
    path = edit(simulation.kubeconfig(tmp_path / "kubeconfig"), user={})
    snapshot = look(only_connection(path))
    assert Outcome.UNAUTHORISED in outcomes(snapshot).values()
    assert "anonymous" in " ".join(report.reason for report in snapshot.sections.values())
    assert Outcome.FORBIDDEN not in outcomes(snapshot).values()


def test_an_authority_that_is_not_trusted(simulation: Simulation, tmp_path: Path) -> None:
    path = edit(simulation.kubeconfig(tmp_path / "kubeconfig"), without=("certificate-authority-data",))
    if not only_connection(path).server.startswith("https:"):
        pytest.fail("the simulated fleet must speak TLS for this")
    snapshot = look(only_connection(path))
    assert snapshot.section("version").outcome is Outcome.TLS
    assert others(snapshot, "version") == {Outcome.SKIPPED}


def test_something_else_that_answers(tmp_path: Path) -> None:
    page = Reply("<html>Sign in</html>", headers={"Content-Type": "text/html"})
    with serving({"*": page}) as server:
        snapshot = look(only_connection(write_kubeconfig(tmp_path / "config", server.url)))
    assert snapshot.section("version").outcome is Outcome.MALFORMED
    assert others(snapshot, "version") == {Outcome.SKIPPED}
    assert server.paths() == ["/version"]


def test_a_kubeconfig_that_cannot_be_used_is_reported_not_raised(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:9", None, {"certificate-authority": "gone.pem"})
    snapshot = look(only_connection(path))
    assert snapshot.section("version").outcome is Outcome.UNREACHABLE
    assert "gone.pem" in snapshot.section("version").reason


# --- one section fails ---


@pytest.mark.parametrize(
    ("resource", "section"),
    [
        ("nodes", "nodes"),
        ("pods", "pods"),
        ("daemonsets", "operator"),
        ("clusterpolicies", "operator"),
        ("resourceslices", "resource_slices"),
        ("deviceclasses", "device_classes"),
        ("devicetaintrules", "device_taint_rules"),
        ("nodereadinessrules", "readiness_rules"),
        ("resourceclaims", "resource_claims"),
        ("events", "events"),
    ],
)
def test_a_right_taken_away_costs_its_section_only(connection: Connection, faults: Faults, resource: str, section: str) -> None:
    faults.set(forbidden=[("list", resource)])
    snapshot = look(connection)
    report = snapshot.section(section)
    assert report.outcome is Outcome.FORBIDDEN
    assert f"may not list {resource}" in report.reason
    assert report.hides
    assert others(snapshot, section, *NEED.get(section, ())) == {Outcome.COLLECTED}
    assert [right.resource for right in snapshot.permissions.missing] == [resource]


def test_a_config_map_that_may_not_be_read(connection: Connection, faults: Faults) -> None:
    faults.set(forbidden=[("*", "configmaps")])
    snapshot = look(connection)
    assert snapshot.section("device_plugin_config").outcome is Outcome.FORBIDDEN
    assert others(snapshot, "device_plugin_config") == {Outcome.COLLECTED}
    (right,) = snapshot.permissions.missing
    assert (right.verb, right.resource, right.namespace) == ("get", "configmaps", "gpu-operator")


def test_telemetry_without_its_right(connection: Connection, faults: Faults) -> None:
    faults.set(forbidden=[("get", "pods/proxy")])
    snapshot = look(connection)
    assert others(snapshot, *ASKED) == {Outcome.COLLECTED}
    for name in ASKED:
        assert snapshot.section(name).outcome is Outcome.FORBIDDEN
        assert "may not get pods/proxy" in snapshot.section(name).reason
    assert [right.resource for right in snapshot.permissions.missing] == ["pods/proxy"]


def test_absent_groups_are_known_to_be_absent(connection: Connection, faults: Faults) -> None:
    faults.set(absent_groups=["nvidia.com", "resource.k8s.io"])
    snapshot = look(connection)
    assert snapshot.section("resource_slices").outcome is Outcome.ABSENT
    assert snapshot.section("resource_claims").outcome is Outcome.ABSENT
    assert snapshot.section("resource_slices").complete
    assert snapshot.section("operator").outcome is Outcome.COLLECTED
    assert snapshot.operator.policies == ()
    assert snapshot.operator.daemonsets


def test_absent_and_refused_is_still_absent(connection: Connection, faults: Faults) -> None:
    faults.set(absent_groups=["resource.k8s.io"], forbidden=[("*", "resourceslices"), ("*", "resourceclaims")])
    snapshot = look(connection)
    assert snapshot.section("resource_slices").outcome is Outcome.ABSENT
    assert snapshot.permissions.missing == ()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors(connection: Connection, faults: Faults, status: int) -> None:
    faults.set(errors={"/api/v1/nodes": status})
    snapshot = look(connection)
    assert snapshot.section("nodes").outcome is Outcome.UNREACHABLE
    assert str(status) in snapshot.section("nodes").reason
    assert others(snapshot, "nodes") == {Outcome.COLLECTED}


def test_a_server_that_says_500_is_there(connection: Connection, faults: Faults) -> None:
    faults.set(errors={"/api/v1/nodes": 500, "/api/v1/pods": 500})
    snapshot = look(connection)
    assert snapshot.section("device_plugin_config").outcome is Outcome.COLLECTED
    assert snapshot.section("resource_claims").outcome is Outcome.COLLECTED


def test_one_hiccup_is_not_even_noticed(connection: Connection, faults: Faults) -> None:
    faults.set(errors={"/api/v1/nodes": 503}, error_times=1)
    assert look(connection).section("nodes").outcome is Outcome.COLLECTED


def test_throttling_is_waited_for(connection: Connection, faults: Faults) -> None:
    faults.set(throttled=1, throttled_json=1, retry_after=1)
    started = time.monotonic()
    snapshot = look(connection)
    assert set(outcomes(snapshot).values()) == {Outcome.COLLECTED}
    assert time.monotonic() - started >= 2


def test_a_server_that_only_throttles_meets_no_storm(connection: Connection, faults: Faults) -> None:
    faults.set(throttled=1000, retry_after=0)
    snapshot = look(connection)
    assert Outcome.THROTTLED in outcomes(snapshot).values()
    asked = 1000 - faults.throttled
    assert asked <= len(SECTIONS) + 4 + Limits().retries, f"{asked} requests to a server that refused"


def test_a_long_wait_ends_the_section_at_once(connection: Connection, faults: Faults) -> None:
    faults.set(throttled=1000, retry_after=600)
    started = time.monotonic()
    look(connection)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("/api/v1/nodes", "nodes"),
        ("/api/v1/pods", "pods"),
        ("/apis/apps/v1/daemonsets", "operator"),
        ("resourceslices", "resource_slices"),
        ("deviceclasses", "device_classes"),
        ("devicetaintrules", "device_taint_rules"),
        ("nodereadinessrules", "readiness_rules"),
        ("resourceclaims", "resource_claims"),
        ("/events", "events"),
        ("configmaps", "device_plugin_config"),
        ("selfsubjectrulesreviews", "permissions"),
    ],
)
def test_an_answer_that_is_not_understood(connection: Connection, faults: Faults, path: str, section: str) -> None:
    faults.set(malformed=[path])
    snapshot = look(connection)
    assert snapshot.section(section).outcome is Outcome.MALFORMED
    assert others(snapshot, section, *NEED.get(section, ())) == {Outcome.COLLECTED}


def test_an_answer_that_breaks_off(connection: Connection, faults: Faults) -> None:
    faults.set(truncated=["/api/v1/pods"])
    snapshot = look(connection)
    assert snapshot.section("pods").outcome is Outcome.UNREACHABLE
    assert others(snapshot, "pods", *ASKED) == {Outcome.COLLECTED}
    assert {snapshot.section(name).outcome for name in ASKED} == {Outcome.SKIPPED}
    assert "so exporters are unknown" in snapshot.section("telemetry").reason


def test_an_answer_that_is_too_large(connection: Connection, faults: Faults) -> None:
    faults.set(oversized_mib=2)
    snapshot = look(connection, limits=Limits(max_page_bytes=2**20))
    assert snapshot.section("nodes").outcome is Outcome.TOO_LARGE
    assert "1 MiB" in snapshot.section("nodes").reason


def test_something_muster_did_not_expect(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(nodes, "parse", broken)
    snapshot = look(connection)
    assert snapshot.section("nodes").outcome is Outcome.MALFORMED
    assert "KeyError: 'surprise'" in snapshot.section("nodes").reason
    assert others(snapshot, "nodes") == {Outcome.COLLECTED}


# --- half-read lists ---


def test_a_half_read_list_keeps_what_was_read_and_claims_no_more(
    connection: Connection, faults: Faults, whole: ClusterSnapshot
) -> None:
    faults.set(fail_after_page=2, fail_paths=["/api/v1/nodes"])
    snapshot = look(connection, limits=SMALL)
    report = snapshot.section("nodes")
    assert report.outcome is Outcome.INCOMPLETE
    assert not report.complete
    assert report.count == 20
    assert "after 2 pages" in report.reason
    assert snapshot.node_count is None
    assert {node.name for node in snapshot.nodes} < {node.name for node in whole.nodes}
    assert others(snapshot, "nodes") == {Outcome.COLLECTED}


def test_an_expired_list_is_begun_again(connection: Connection, faults: Faults, whole: ClusterSnapshot) -> None:
    faults.set(expire_after_page=2, expire_times=1, fail_paths=["/api/v1/nodes"])
    snapshot = look(connection, limits=SMALL)
    assert snapshot.section("nodes").outcome is Outcome.COLLECTED
    assert snapshot.nodes == whole.nodes


def test_a_list_that_always_expires_is_reported(connection: Connection, faults: Faults) -> None:
    faults.set(expire_after_page=2, expire_times=-1, fail_paths=["/api/v1/pods"])
    snapshot = look(connection, limits=SMALL)
    assert snapshot.section("pods").outcome is Outcome.EXPIRED
    assert snapshot.pods
    assert others(snapshot, "pods", *ASKED) == {Outcome.COLLECTED}
    assert {snapshot.section(name).outcome for name in ASKED} <= {Outcome.INCOMPLETE, Outcome.SKIPPED}
