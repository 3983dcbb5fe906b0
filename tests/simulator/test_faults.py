"""Every fault can be switched on and off while the fleet is being served, and does to a client what it says."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import HTTPError, IncompleteRead, NewConnectionError, ProtocolError, SSLError, TimeoutError

from fleet.simulator.faults import Faults
from tests.simulator.conftest import Client

NAME = "prod-us-east"


@pytest.fixture
def faults(own: Client) -> Faults:
    return own.simulation.faults(NAME)


def _code(client: Client, path: str = "/api/v1/nodes", **params: Any) -> int:
    return client.ask(path, **params).status


def test_refused_connections_and_back_on_the_same_port(own: Client, faults: Faults) -> None:
    before = own.simulation.server_url(NAME)
    assert _code(own) == 200
    faults.set(unreachable="refused")
    with pytest.raises((NewConnectionError, ProtocolError)):
        own.ask("/version")
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(before.rsplit(":", 1)[1])), timeout=2):
        pass
    faults.clear()
    assert own.simulation.server_url(NAME) == before
    assert _code(own) == 200


def test_a_broken_open_connection_is_noticed(own: Client, faults: Faults) -> None:
    assert _code(own) == 200
    faults.set(unreachable="refused")
    with pytest.raises(HTTPError):
        own.ask("/version")


def _answers(port: int) -> bool:
    """Whether anyone answers within half a second; some systems take the connection and stay silent."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            connection.settimeout(0.5)
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return connection.recv(1) != b""
    except OSError:
        return False


def test_connections_that_never_come_about(own: Client, faults: Faults) -> None:
    port = int(own.simulation.server_url(NAME).rsplit(":", 1)[1])
    faults.set(unreachable="blackhole")
    assert not _answers(port)
    faults.clear()
    assert _code(own) == 200


def test_the_common_address_breaks_off_for_an_unreachable_cluster(own: Client, faults: Faults) -> None:
    faults.set(unreachable="refused")
    with pytest.raises(ProtocolError):
        urllib3.request("GET", own.simulation.prefix_url(NAME, tls=False) + "/version", retries=False)


@pytest.mark.parametrize("how", [{"unreachable": "hang"}, {"hang_paths": ["/api/v1/nodes"]}])
def test_hanging(own: Client, faults: Faults, how: dict[str, Any]) -> None:
    faults.set(**how)
    with pytest.raises(TimeoutError):
        own.pool.request("GET", own.simulation.server_url(NAME) + "/api/v1/nodes", timeout=0.5, retries=False)
    if "hang_paths" in how:
        assert _code(own, "/version") == 200


def test_slow(own: Client, faults: Faults) -> None:
    faults.set(slow_seconds=0.3, slow_paths=["/api/v1/pods"])
    for path, slow in (("/api/v1/pods", True), ("/version", False)):
        began = time.monotonic()
        assert _code(own, path, limit=1) == 200
        assert (time.monotonic() - began >= 0.3) == slow


def test_unauthorised(own: Client, faults: Faults) -> None:
    faults.set(unauthorised=True)
    assert _code(own) == 401
    faults.clear()
    assert _code(own) == 200


@pytest.mark.parametrize("verb", ["list", "*"])
def test_forbidden_and_the_reviews_agree(own: Client, faults: Faults, verb: str) -> None:
    faults.set(forbidden=[(verb, "daemonsets")])
    assert _code(own, "/apis/apps/v1/daemonsets") == 403
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "gpu-operator"}}
    answer = own.ask("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "POST", body=review).json()
    rights = {right for rule in answer["status"]["resourceRules"] if "daemonsets" in rule["resources"] for right in rule["verbs"]}
    assert rights == ({"get", "watch"} if verb == "list" else set())
    asked = {"spec": {"resourceAttributes": {"verb": "list", "group": "apps", "resource": "daemonsets"}}}
    answer = own.ask("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "POST", body=asked).json()
    assert answer["status"]["allowed"] is False
    assert _code(own) == 200, "other rights stay"


def test_an_absent_group(own: Client, faults: Faults) -> None:
    faults.set(absent_groups=["nvidia.com"])
    answer = own.ask("/apis/nvidia.com/v1/clusterpolicies")
    assert (answer.status, answer.data) == (404, b"404 page not found\n")
    assert "nvidia.com" not in [group["name"] for group in own.get("/apis")["groups"]]
    assert own.ask("/apis/nvidia.com/v1").status == 404


def test_throttling_says_when_to_come_back(own: Client, faults: Faults) -> None:
    faults.set(throttled=2, retry_after=7)
    answers = [own.ask("/api/v1/nodes") for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert faults.hits["throttled"] == 2


@pytest.mark.parametrize(("times", "codes"), [(1, [410, 200]), (-1, [410, 410])])
def test_tokens_that_expire_after_a_page(own: Client, faults: Faults, times: int, codes: list[int]) -> None:
    faults.set(expire_after_page=1, expire_times=times)
    seen = []
    for _ in codes:
        more = own.get("/api/v1/nodes", limit=2)["metadata"]["continue"]
        seen.append(_code(own, limit=2, **{"continue": more}))
    assert seen == codes


def test_a_list_that_breaks_off_in_the_middle(own: Client, faults: Faults) -> None:
    faults.set(fail_after_page=2, fail_paths=["/pods"])
    more = own.get("/api/v1/pods", limit=5)["metadata"]["continue"]
    more = own.get("/api/v1/pods", limit=5, **{"continue": more})["metadata"]["continue"]
    assert _code(own, "/api/v1/pods", limit=5, **{"continue": more}) == 500
    more = own.get("/api/v1/nodes", limit=2)["metadata"]["continue"]
    more = own.get("/api/v1/nodes", limit=2, **{"continue": more})["metadata"]["continue"]
    assert _code(own, "/api/v1/nodes", limit=2, **{"continue": more}) == 200, "other lists are whole"


def test_a_body_that_is_no_json(own: Client, faults: Faults) -> None:
    faults.set(malformed=["/nodes"])
    answer = own.ask("/api/v1/nodes")
    assert (answer.status, answer.data[:6]) == (200, b"<html>")


def test_a_body_that_breaks_off(own: Client, faults: Faults) -> None:
    faults.set(truncated=["/nodes"])
    with pytest.raises((ProtocolError, IncompleteRead, SSLError)):
        own.ask("/api/v1/nodes")


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_server_errors(own: Client, faults: Faults, code: int) -> None:
    faults.set(errors={"/nodes": code}, error_times=1)
    assert [_code(own), _code(own)] == [code, 200]


def test_an_oversized_answer(own: Client, faults: Faults) -> None:
    faults.set(oversized_mib=3)
    answer = own.ask("/api/v1/nodes", limit=1)
    assert len(answer.data) > 3 * 1024 * 1024
    assert len(answer.json()["items"]) == 2, "it is still JSON"


@pytest.mark.parametrize("certificate", ["expired", "other_host", "unknown"])
def test_certificates_that_must_not_be_trusted(own: Client, faults: Faults, certificate: str) -> None:
    faults.set(certificate=certificate)
    fresh = urllib3.PoolManager(retries=False, ssl_context=ssl.create_default_context(cadata=own.simulation.authority.decode()))
    with pytest.raises(SSLError):
        fresh.request("GET", own.simulation.server_url(NAME) + "/version")
    faults.clear()
    assert fresh.request("GET", own.simulation.server_url(NAME) + "/version").status == 200


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no such fault: slowly"):
        Faults().set(slowly=1)


def test_clusters_are_disturbed_one_by_one() -> None:
    from fleet.simulator.fleet import build_fleet
    from fleet.simulator.server import serve

    with serve(build_fleet(clusters=2, nodes=2)) as simulation:
        simulation.faults("prod-us-east").set(unreachable="refused")
        assert _code(Client(simulation, "prod-eu-west")) == 200


def test_the_control_endpoint_switches_faults_and_runs_stories(own: Client) -> None:
    base = own.simulation.url + "/_simulator"
    overview = urllib3.request("GET", base + "/").json()["clusters"][NAME]
    assert overview["server"] == own.simulation.server_url(NAME)
    set_ = urllib3.request("POST", f"{base}/clusters/{NAME}/faults", json={"throttled": 1})
    assert (set_.status, set_.json()["throttled"]) == (200, 1)
    assert [_code(own), _code(own)] == [429, 200]
    urllib3.request("POST", f"{base}/clusters/{NAME}/faults", json={"unauthorised": True})
    assert urllib3.request("DELETE", f"{base}/clusters/{NAME}/faults").json()["unauthorised"] is False
    node = own.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    response = urllib3.request("POST", f"{base}/clusters/{NAME}/stories", json={"story": "cordon", "node": node})
    assert response.status == 200
    assert own.get(f"/api/v1/nodes/{node}")["spec"]["unschedulable"] is True
    for path, body in (
        ("faults", {"nonsense": 1}),
        ("stories", {"story": "_empty"}),
        ("stories", {"story": "cordon", "node": "x"}),
    ):
        assert urllib3.request("POST", f"{base}/clusters/{NAME}/{path}", json=body).status == 400
    assert urllib3.request("GET", f"{base}/clusters/nowhere/faults").status == 404
