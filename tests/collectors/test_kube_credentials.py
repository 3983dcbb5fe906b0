"""Credentials of the way to a cluster: tokens that rotate, exec plugins, certificates, a pod's own account."""

from __future__ import annotations

import base64
import itertools
import os
import ssl
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fleet.collectors import credentials
from fleet.collectors.connections import Connection, list_connections
from fleet.collectors.errors import ConfigurationError
from fleet.collectors.kube import Client
from fleet.domain.snapshot.sections import Outcome
from tests.collectors import certificates
from tests.collectors.clients import OK, ask, client_for, failure_of, wants
from tests.collectors.fake_api import serving, write_kubeconfig

# --- credentials that change ---


def test_a_token_file_is_read_again_after_a_refusal(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    with serving({"/": wants("new")}) as api:
        client = client_for(write_kubeconfig(tmp_path / "config", api.url, {"tokenFile": "token", "token": "never"}))
        assert ask(client).status == 401
        assert len(api.seen) == 1, "the same token must not be tried twice"
        token.write_text("new\n")
        assert ask(client).status == 200
        assert len(api.seen) == 3
        assert ask(client).status == 200
        assert len(api.seen) == 4


def test_a_token_file_is_read_again_when_its_minute_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    with serving(OK) as api:
        client = client_for(write_kubeconfig(tmp_path / "config", api.url, {"tokenFile": str(token)}))
        ask(client)
        token.write_text("two")
        ask(client)
        monkeypatch.setattr(credentials, "TOKEN_FILE_PERIOD_S", 0.0)
        ask(client)
    assert [seen.headers["authorization"] for seen in api.seen] == ["Bearer one", "Bearer one", "Bearer two"]


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    client = client_for(write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", {"tokenFile": "gone"}))
    failure = failure_of(client)
    assert failure.outcome is Outcome.UNAUTHORISED
    assert str(tmp_path / "gone") in failure.reason


def test_a_renewed_kubeconfig_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "config"
    with serving({"/": wants("new")}) as api:
        client = client_for(write_kubeconfig(path, api.url, {"token": "old"}))
        assert ask(client).status == 401
        write_kubeconfig(path, api.url, {"token": "new"})
        os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
        assert ask(client).status == 200


def plugin(folder: Path, script: str) -> dict[str, Any]:
    """A user whose credential comes from a program beside the kubeconfig."""
    path = folder / "plugin"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(stat.S_IRWXU)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "args": ["x"]}}


TOKEN_PLUGIN = """
import json, os, pathlib, sys
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["kind"] == "ExecCredential" and info["spec"] == {"interactive": False}, info
runs = pathlib.Path(__file__).with_name("runs")
n = len(runs.read_text()) + 1 if runs.exists() else 1
runs.write_text("x" * n)
status = {"token": f"token-{n}", "expirationTimestamp": EXPIRES}
print(json.dumps({"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": status}))
"""


def test_a_plugin_runs_once_until_its_credential_ends(tmp_path: Path) -> None:
    user = plugin(tmp_path, TOKEN_PLUGIN.replace("EXPIRES", "'2099-01-01T00:00:00Z'"))
    with serving(OK) as api:
        client = client_for(write_kubeconfig(tmp_path / "config", api.url, user))
        ask(client)
        ask(client)
    assert [seen.headers["authorization"] for seen in api.seen] == ["Bearer token-1", "Bearer token-1"]


def test_a_plugin_runs_again_for_an_ended_credential(tmp_path: Path) -> None:
    user = plugin(tmp_path, TOKEN_PLUGIN.replace("EXPIRES", "'2020-01-01T00:00:00Z'"))
    with serving(OK) as api:
        client = client_for(write_kubeconfig(tmp_path / "config", api.url, user))
        ask(client)
        ask(client)
    first, second = (int(seen.headers["authorization"].rpartition("-")[2]) for seen in api.seen)
    assert second > first


def test_a_plugin_runs_again_after_a_refusal(tmp_path: Path) -> None:
    user = plugin(tmp_path, TOKEN_PLUGIN.replace("EXPIRES", "None"))
    with serving({"/": wants("token-2")}) as api:
        assert ask(client_for(write_kubeconfig(tmp_path / "config", api.url, user))).status == 200
    assert len(api.seen) == 2


@pytest.mark.parametrize(
    ("script", "outcome", "says"),
    [
        ("import sys; sys.exit('SSO session ended')", Outcome.UNAUTHORISED, "SSO session ended"),
        ("print('hello')", Outcome.UNAUTHORISED, "no ExecCredential"),
        (
            'print(\'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{}}\')',
            Outcome.UNAUTHORISED,
            "neither a token nor",
        ),
        ('print(\'{"apiVersion":"v9","status":{"token":"t"}}\')', Outcome.UNAUTHORISED, "v9"),
        ("import time; time.sleep(60)", Outcome.TIMEOUT, "within"),
    ],
)
def test_a_failing_plugin_says_why(tmp_path: Path, script: str, outcome: Outcome, says: str) -> None:
    client = client_for(write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", plugin(tmp_path, script)))
    started = time.monotonic()
    failure = failure_of(client, seconds=1.0)
    assert failure.outcome is outcome
    assert says in failure.reason
    assert "plugin" in failure.reason
    assert time.monotonic() - started < 5


def test_a_plugin_that_is_not_installed_gives_its_hint(tmp_path: Path) -> None:
    settings = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-program-here"}
    user = {"exec": {**settings, "installHint": "Install the cloud's tool."}}
    failure = failure_of(client_for(write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", user)))
    assert "no-such-program-here" in failure.reason
    assert "Install the cloud's tool." in failure.reason


def test_a_plugin_that_needs_a_terminal_is_refused(tmp_path: Path) -> None:
    settings = {"apiVersion": "client.authentication.k8s.io/v1", "command": "true", "interactiveMode": "Always"}
    client = client_for(write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9", {"exec": settings}))
    with pytest.raises(ConfigurationError, match="terminal"):
        ask(client)


# --- TLS ---


def test_a_client_certificate_over_tls(tmp_path: Path) -> None:
    ca = certificates.authority()
    server = certificates.issue(ca, "server", "127.0.0.1")
    me = certificates.issue(ca, "muster")
    data = {
        "client-certificate-data": base64.b64encode(me.pem.encode()).decode(),
        "client-key-data": base64.b64encode(me.key_pem.encode()).decode(),
    }
    (tmp_path / "ca.pem").write_text(ca.pem)
    before = set(Path("/tmp").glob("muster-*"))
    with serving(OK, certificates.server_context(tmp_path, server, ca)) as api:
        path = write_kubeconfig(tmp_path / "config", api.url, data, {"certificate-authority": "ca.pem"})
        assert ask(client_for(path)).status == 200
    subject = dict(itertools.chain(*api.seen[0].certificate["subject"]))
    assert subject["commonName"] == "muster"
    assert set(Path("/tmp").glob("muster-*")) <= before, "no key stays behind"


def test_a_plugin_may_give_a_client_certificate(tmp_path: Path) -> None:
    ca = certificates.authority()
    me = certificates.issue(ca, "from plugin")
    status = {"clientCertificateData": me.pem, "clientKeyData": me.key_pem}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    user = plugin(tmp_path, f"import json\nprint(json.dumps({answer!r}))")
    context = certificates.server_context(tmp_path, certificates.issue(ca, "server", "127.0.0.1"), ca)
    with serving(OK, context) as api:
        cluster = {"certificate-authority-data": base64.b64encode(ca.pem.encode()).decode()}
        assert ask(client_for(write_kubeconfig(tmp_path / "config", api.url, user, cluster))).status == 200
    assert "from plugin" in str(api.seen[0].certificate)


@pytest.mark.parametrize(
    ("trusted", "address", "days", "says"),
    [
        (False, "127.0.0.1", 1, "authority"),
        (True, "10.0.0.1", 1, "another"),
        (True, "127.0.0.1", -1, "expired"),
    ],
)
def test_an_untrusted_server_is_refused(tmp_path: Path, trusted: bool, address: str, days: int, says: str) -> None:
    ca = certificates.authority()
    context = certificates.server_context(tmp_path, certificates.issue(ca, "server", address, days))
    (tmp_path / "ca.pem").write_text((ca if trusted else certificates.authority()).pem)
    with serving(OK, context) as api:
        path = write_kubeconfig(tmp_path / "config", api.url, None, {"certificate-authority": "ca.pem"})
        failure = failure_of(client_for(path))
    assert failure.outcome is Outcome.TLS
    assert says in failure.reason
    assert not api.seen, "no token may reach a server that is not trusted"


def test_an_intermediate_authority_given_alone_is_trusted(tmp_path: Path) -> None:
    intermediate = certificates.issue(certificates.authority("root"), "intermediate", authority=True)
    context = certificates.server_context(tmp_path, certificates.issue(intermediate, "server", "127.0.0.1"))
    (tmp_path / "ca.pem").write_text(intermediate.pem)
    with serving(OK, context) as api:
        path = write_kubeconfig(tmp_path / "config", api.url, None, {"certificate-authority": "ca.pem"})
        assert ask(client_for(path)).status == 200


def test_verification_can_be_turned_off(tmp_path: Path) -> None:
    context = certificates.server_context(tmp_path, certificates.issue(certificates.authority(), "server"))
    with serving(OK, context) as api:
        path = write_kubeconfig(tmp_path / "config", api.url, None, {"insecure-skip-tls-verify": True})
        assert ask(client_for(path)).status == 200


def test_a_missing_client_certificate_is_reported(tmp_path: Path) -> None:
    ca = certificates.authority()
    (tmp_path / "ca.pem").write_text(ca.pem)
    context = certificates.server_context(tmp_path, certificates.issue(ca, "server", "127.0.0.1"), ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # under 1.3 the refusal may be lost with the connection
    with serving(OK, context) as api:
        path = write_kubeconfig(tmp_path / "config", api.url, None, {"certificate-authority": "ca.pem"})
        failure = failure_of(client_for(path))
    assert failure.outcome is Outcome.TLS
    assert "client certificate" in failure.reason


def test_tls_spoken_to_a_plain_port(tmp_path: Path) -> None:
    with serving(OK) as api:
        path = write_kubeconfig(tmp_path / "config", api.url.replace("http:", "https:"))
        failure = failure_of(client_for(path))
    assert failure.outcome is Outcome.TLS
    assert "does not speak TLS" in failure.reason


def test_an_unreadable_authority_is_named(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:9", None, {"certificate-authority": "gone.pem"})
    with pytest.raises(ConfigurationError, match=r"gone\.pem"):
        ask(client_for(path))


# --- in a cluster ---


def test_in_cluster_uses_the_mounted_token_and_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import incluster_config

    ca = certificates.authority()
    context = certificates.server_context(tmp_path, certificates.issue(ca, "server", "127.0.0.1"))
    (tmp_path / "ca.crt").write_text(ca.pem)
    (tmp_path / "token").write_text("first")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    with serving({"/": wants("second")}, context) as api:
        host, port = api.url.removeprefix("https://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        (connection,) = list_connections(None, [], True)
        client = Client(connection)
        assert ask(client).status == 401
        (tmp_path / "token").write_text("second")
        assert ask(client).status == 200


def test_in_cluster_without_a_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import incluster_config

    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "9")
    with pytest.raises(ConfigurationError, match="service account"):
        ask(Client(Connection(name="own", in_cluster=True, server="https://127.0.0.1:9")))
