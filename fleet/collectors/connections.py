"""Configured clusters: kubeconfig files merged as kubectl merges them, or the cluster Muster itself runs in.

Reading a kubeconfig runs nothing and opens no connection; that is kube.py's and credentials.py's part.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from fleet.collectors.errors import ConfigurationError, shorten

Entry = dict[str, Any]

# Keys of kubeconfig entries that name files: they are relative to the file that holds the entry.
_CLUSTER_FILES = ("certificate-authority",)
_USER_FILES = ("client-certificate", "client-key", "tokenFile")


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one cluster. Holds no secret, so it may be logged, stored and compared."""

    name: str
    """The cluster's name in Muster: the context's name, or MUSTER_CLUSTER_NAME in a cluster."""
    kubeconfig: tuple[str, ...] = ()
    context: str = ""
    in_cluster: bool = False
    server: str = ""
    authority: str = ""
    """Digest of the certificate authority and of the way to the server (proxy, TLS server name); empty in a cluster."""
    own_authority: str = ""
    """Digest of the certificate authority alone, which the server must prove; empty where the public ones or none are asked."""
    user: str = ""
    """Name of the kubeconfig's user entry; empty in a cluster."""
    namespace: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """Where the cluster answers: equal for two connections that certainly lead to one server."""
        url = urlsplit(self.server)
        host = url.netloc.rpartition("@")[2].lower().removesuffix({"https": ":443", "http": ":80"}.get(url.scheme, " "))
        return f"{url.scheme}://{host}{url.path.rstrip('/')}", self.authority


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """One context with its entries, file names made absolute. Holds secrets: never log it."""

    cluster: Entry
    user: Entry
    namespace: str = ""


def list_connections(kubeconfig: str | None, contexts: Sequence[str], in_cluster: bool) -> tuple[Connection, ...]:
    """One connection per cluster: every context of the ":"-separated files, or the named ones in their order.

    Several contexts may lead to one cluster: services.same_cluster finds out. Raises ConfigurationError with a sentence where
    a file cannot be read or a named context is not there.
    """
    if kubeconfig:
        return _from_files(kubeconfig, contexts)
    if contexts:
        raise ConfigurationError(f"Contexts are named ({', '.join(contexts)}), but no kubeconfig file: name one too.")
    if in_cluster:
        return (_own_cluster(),)
    return ()


def resolve(connection: Connection) -> Resolved:
    """Returns the entries behind a connection, read again. Raises ConfigurationError."""
    merged = _Merged.read(connection.kubeconfig)
    context = merged.contexts.get(connection.context)
    where = _files(connection.kubeconfig)
    if context is None:
        raise ConfigurationError(f"There is no context {connection.context!r} in {where}.")
    cluster_name, user_name = str(context.get("cluster") or ""), str(context.get("user") or "")
    cluster = merged.clusters.get(cluster_name)
    if cluster is None or not cluster.get("server"):
        raise ConfigurationError(
            f"Context {connection.context!r} names cluster {cluster_name!r}, which {where} gives no server for."
        )
    if not str(cluster["server"]).startswith(("https://", "http://")):
        raise ConfigurationError(f"The server of cluster {cluster_name!r} in {where} must begin with https://.")
    user = merged.users.get(user_name)
    if user is None and user_name:
        raise ConfigurationError(f"Context {connection.context!r} names user {user_name!r}, who is not in {where}.")
    return Resolved(cluster=cluster, user=user or {}, namespace=str(context.get("namespace") or ""))


def _own_cluster() -> Connection:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ConfigurationError(
            "Muster does not run inside a cluster (KUBERNETES_SERVICE_HOST is not set): give it a kubeconfig."
        )
    address = f"[{host}]" if ":" in host else host
    return Connection(
        name=os.environ.get("MUSTER_CLUSTER_NAME", "").strip() or "in-cluster",
        in_cluster=True,
        server=f"https://{address}:{port}",
    )


def _from_files(kubeconfig: str, wanted: Sequence[str]) -> tuple[Connection, ...]:
    paths = tuple(str(Path(part).expanduser().absolute()) for part in kubeconfig.split(os.pathsep) if part.strip())
    merged = _Merged.read(paths)
    if not merged.contexts:
        raise ConfigurationError(f"There is no context in {_files(paths)}: no cluster is configured.")
    for name in wanted:
        if name not in merged.contexts:
            there = ", ".join(sorted(merged.contexts))
            raise ConfigurationError(f"There is no context {name!r} in {_files(paths)}. There are: {there}.")
    return tuple(_connection(merged, paths, name) for name in dict.fromkeys(wanted or merged.contexts))


def _connection(merged: _Merged, paths: tuple[str, ...], name: str) -> Connection:
    context = merged.contexts[name]
    cluster = merged.clusters.get(str(context.get("cluster") or "")) or {}
    return Connection(
        name=name,
        kubeconfig=paths,
        context=name,
        server=str(cluster.get("server") or "").rstrip("/"),
        authority=_authority(cluster),
        own_authority=_own_authority(cluster),
        user=str(context.get("user") or ""),
        namespace=str(context.get("namespace") or ""),
    )


def _authority(cluster: Entry) -> str:
    """Returns a digest of what decides which server answers at an address. A CA in a file and the same inline are equal."""
    way = tuple(str(cluster.get(key) or "") for key in ("proxy-url", "tls-server-name", "insecure-skip-tls-verify"))
    return _digest(_certificate(cluster) + repr(way).encode())


def _own_authority(cluster: Entry) -> str:
    certificate = _certificate(cluster)
    is_proved = str(cluster.get("server") or "").startswith("https://") and not cluster.get("insecure-skip-tls-verify")
    return _digest(certificate) if certificate and is_proved else ""


def _certificate(cluster: Entry) -> bytes:
    try:
        if data := cluster.get("certificate-authority-data"):
            return base64.b64decode(str(data)).strip()
        if path := cluster.get("certificate-authority"):
            return Path(str(path)).read_bytes().strip()
    except (OSError, ValueError):
        return repr((cluster.get("certificate-authority-data"), cluster.get("certificate-authority"))).encode()
    return b""


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _files(paths: Sequence[str]) -> str:
    return ", ".join(paths)


class _Merged(msgspec.Struct):
    """Entries by name over all files: of two with one name the first file's counts, as with kubectl."""

    contexts: dict[str, Entry]
    clusters: dict[str, Entry]
    users: dict[str, Entry]

    @classmethod
    def read(cls, paths: Sequence[str]) -> _Merged:
        merged = cls({}, {}, {})
        for path in paths:
            content = _read(path)
            folder = Path(path).parent
            _add(merged.contexts, content, "contexts", "context", (), folder, path)
            _add(merged.clusters, content, "clusters", "cluster", _CLUSTER_FILES, folder, path)
            _add(merged.users, content, "users", "user", _USER_FILES, folder, path)
        return merged


def _read(path: str) -> Entry:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"The kubeconfig file {path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"The kubeconfig file {path} cannot be read ({reason}).") from None
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ConfigurationError(f"The kubeconfig file {path} is not YAML: {shorten(str(error), 160)}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"The kubeconfig file {path} is no kubeconfig: its top level is not a mapping.")
    return content


def _add(  # noqa: PLR0913 the parts of a kubeconfig entry
    target: dict[str, Entry], content: Entry, plural: str, single: str, files: Sequence[str], folder: Path, path: str
) -> None:
    items = content.get(plural) or []
    if not isinstance(items, list):
        raise ConfigurationError(f"In the kubeconfig file {path} `{plural}` is not a list.")
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise ConfigurationError(f"In the kubeconfig file {path} an entry of `{plural}` has no name.")
        entry = item.get(single) or {}
        if not isinstance(entry, dict):
            raise ConfigurationError(f"In the kubeconfig file {path} `{single}` of {item['name']!r} is not a mapping.")
        if item["name"] in target:
            continue
        entry = dict(entry)
        for key in files:
            if entry.get(key):
                entry[key] = str(folder / Path(str(entry[key])).expanduser())
        if single == "user" and isinstance(entry.get("exec"), dict):
            entry["exec"] = {**entry["exec"], "command": _command(entry["exec"].get("command"), folder)}
        target[item["name"]] = entry


def _command(command: object, folder: Path) -> str:
    """A command with a slash is relative to its kubeconfig; one without is looked up in PATH (client-go's rule)."""
    text = str(command or "")
    return str(folder / text) if "/" in text else text
