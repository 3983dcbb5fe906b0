"""Kubeconfig files merged as kubectl does, every context a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.collectors.connections import Connection, list_connections, resolve
from fleet.collectors.errors import ConfigurationError


def write(path: Path, contexts: dict[str, tuple[str, str]], servers: dict[str, str], users: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "contexts": [{"name": n, "context": {"cluster": c, "user": u}} for n, (c, u) in contexts.items()],
        "clusters": [{"name": n, "cluster": {"server": s}} for n, s in servers.items()],
        "users": [{"name": n, "user": u} for n, u in users.items()],
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def two_files(tmp_path: Path) -> str:
    result = write(tmp_path / "one" / "config", {"a": ("prod", "me")}, {"prod": "https://one"}, {"me": {"token": "1"}})
    contexts = {"a": ("other", "me"), "b": ("prod", "you"), "c": ("third", "you")}
    servers = {"prod": "https://never", "other": "https://never", "third": "https://three/"}
    users = {"me": {"token": "2"}, "you": {"client-certificate": "you.pem", "client-key": "/abs/key.pem"}}
    two = write(tmp_path / "two" / "config", contexts, servers, users)
    return f"{result}{os.pathsep}{os.pathsep}{two}"


def test_every_context_is_a_cluster_and_the_first_file_wins(two_files: str) -> None:
    connections = list_connections(two_files, [], False)
    assert [(c.name, c.server, c.user) for c in connections] == [
        ("a", "https://one", "me"),
        ("b", "https://one", "you"),
        ("c", "https://three", "you"),
    ]
    assert resolve(connections[0]).user == {"token": "1"}


def test_files_are_relative_to_the_kubeconfig_that_names_them(two_files: str, tmp_path: Path) -> None:
    user = resolve(list_connections(two_files, ["b"], False)[0]).user
    assert user == {"client-certificate": str(tmp_path / "two" / "you.pem"), "client-key": "/abs/key.pem"}


def test_named_contexts_only_in_their_order(two_files: str) -> None:
    assert [c.name for c in list_connections(two_files, ["c", "a", "c"], False)] == ["c", "a"]


def test_an_unknown_context_is_named_with_those_that_exist(two_files: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'nope'.*a, b, c"):
        list_connections(two_files, ["a", "nope"], False)


def test_contexts_without_a_file() -> None:
    with pytest.raises(ConfigurationError, match="kubeconfig"):
        list_connections(None, ["a"], False)


def test_nothing_configured_is_no_cluster() -> None:
    assert list_connections(None, [], False) == ()
    assert list_connections("", [], False) == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "does not exist"),
        ("contexts: [", "not YAML"),
        ("- a\n- b", "not a mapping"),
        ("contexts: 3", "not a list"),
        ("contexts: [{context: {}}]", "no name"),
        ("contexts: [{name: a, context: 3}]", "not a mapping"),
        ("", "no context"),
        ("contexts: null", "no context"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        list_connections(str(path), [], False)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_binary_file(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not text"):
        list_connections(str(tmp_path / "config"), [], False)


def test_one_broken_context_does_not_hide_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "c", {"bad": ("gone", "me"), "good": ("x", "me")}, {"x": "https://x"}, {"me": {}})
    bad, good = list_connections(str(path), [], False)
    assert good.server == "https://x"
    with pytest.raises(ConfigurationError, match="'gone'"):
        resolve(bad)


def test_a_context_with_an_unknown_user(tmp_path: Path) -> None:
    path = write(tmp_path / "c", {"a": ("x", "ghost")}, {"x": "https://x"}, {})
    with pytest.raises(ConfigurationError, match="'ghost'"):
        resolve(list_connections(str(path), [], False)[0])


def test_a_server_without_a_scheme(tmp_path: Path) -> None:
    path = write(tmp_path / "c", {"a": ("x", "")}, {"x": "host:6443"}, {})
    with pytest.raises(ConfigurationError, match="https://"):
        resolve(list_connections(str(path), [], False)[0])


def test_in_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.delenv("MUSTER_CLUSTER_NAME", raising=False)
    assert list_connections(None, [], True) == (Connection(name="in-cluster", in_cluster=True, server="https://[fd00::1]:443"),)
    monkeypatch.setenv("MUSTER_CLUSTER_NAME", "prod")
    assert list_connections(None, [], True)[0].name == "prod"


def test_in_cluster_outside_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigurationError, match="does not run inside"):
        list_connections(None, [], True)


def test_a_plugin_with_a_slash_is_relative_to_its_file(tmp_path: Path) -> None:
    users = {"me": {"exec": {"command": "bin/login"}}, "you": {"exec": {"command": "aws"}}}
    path = write(tmp_path / "c", {"a": ("x", "me"), "b": ("x", "you")}, {"x": "https://x"}, users)
    relative, looked_up = (resolve(connection).user["exec"]["command"] for connection in list_connections(str(path), [], False))
    assert relative == str(tmp_path / "bin/login")
    assert looked_up == "aws"
