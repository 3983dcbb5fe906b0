"""Credentials that change while Muster runs: token files that rotate, and plugins that print a fresh credential.

The kubernetes client reads a tokenFile once, and waits forever for a plugin; here both are bounded and report what
went wrong. No part of a credential reaches a log or an error.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec

from fleet.collectors.errors import NOT_JSON, ConfigurationError, Failure, shorten
from fleet.domain.snapshot.sections import Outcome

TOKEN_FILE_PERIOD_S = 60.0  # client-go's own period: a projected token is replaced long before it expires
PLUGIN_TIMEOUT_S = 20.0
_EXPIRY_MARGIN = timedelta(seconds=30)


class Credential(msgspec.Struct, frozen=True):
    """A bearer token, or a client certificate with its key (PEM), or both."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return "Credential(…)"


class Source(Protocol):
    """A source of the current credential."""

    def current(self, timeout_s: float, *, fresh: bool = False) -> Credential:
        """The credential to use now; `fresh` after the server refused the last one. Raises Failure."""


class TokenFile:
    """A token file that another process rotates: read again every minute, and at once after a refusal."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read_at = -TOKEN_FILE_PERIOD_S
        self._credential = Credential()

    def current(self, timeout_s: float, *, fresh: bool = False) -> Credential:
        with self._lock:
            now = time.monotonic()
            if fresh or not self._credential.token or now - self._read_at >= TOKEN_FILE_PERIOD_S:
                self._credential = self._read()
                self._read_at = now
            return self._credential

    def _read(self) -> Credential:
        try:
            token = Path(self._path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise Failure(Outcome.UNAUTHORISED, f"The token file {self._path} cannot be read ({reason}).") from None
        if not token:
            raise Failure(Outcome.UNAUTHORISED, f"The token file {self._path} is empty.")
        return Credential(token=token)


class _PluginStatus(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: str | None = None


class _PluginAnswer(msgspec.Struct, rename="camel"):
    kind: str | None = None
    api_version: str | None = None
    status: _PluginStatus | None = None


class ExecPlugin:
    """A credential plugin of a kubeconfig (`exec`), as client-go runs it: no terminal, and only when needed."""

    def __init__(self, settings: Mapping[str, Any], cluster: Mapping[str, Any]) -> None:
        self._command = str(settings.get("command") or "")
        self._version = str(settings.get("apiVersion") or "")
        if not self._command or not self._version:
            raise ConfigurationError("The kubeconfig's exec entry needs a command and an apiVersion.")
        if settings.get("interactiveMode") == "Always":
            raise ConfigurationError(
                f"The credential plugin {self._command} wants a terminal, and Muster has none: "
                "use a kubeconfig that works without one."
            )
        self._args = [str(arg) for arg in settings.get("args") or []]
        self._env = {str(e["name"]): str(e.get("value") or "") for e in settings.get("env") or [] if e.get("name")}
        self._hint = str(settings.get("installHint") or "")
        self._cluster = _cluster_info(cluster) if settings.get("provideClusterInfo") else None
        self._lock = threading.Lock()
        self._credential: Credential | None = None

    def current(self, timeout_s: float, *, fresh: bool = False) -> Credential:
        with self._lock:
            if fresh or self._credential is None or _is_over(self._credential):
                self._credential = self._run(min(timeout_s, PLUGIN_TIMEOUT_S))
            return self._credential

    def _run(self, timeout_s: float) -> Credential:
        spec: dict[str, Any] = {"interactive": False}
        if self._cluster is not None:
            spec["cluster"] = self._cluster
        info = {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}
        environment = {**os.environ, **self._env, "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}
        try:
            child = subprocess.Popen(
                [self._command, *self._args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            hint = f" {shorten(self._hint)}" if self._hint else ""
            raise self._failed(f"cannot be run here ({error.strerror}).{hint}") from None
        with child:
            try:
                out, err = child.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)  # its children too, or they hold the pipes open
                raise self._failed(f"gave no credential within {timeout_s:.1f} s.", Outcome.TIMEOUT) from None
        if child.returncode:
            last = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise self._failed(f"failed with exit code {child.returncode}: {shorten(last, 200) or 'no output'}")
        return self._understand(out)

    def _understand(self, out: bytes) -> Credential:
        try:
            answer = msgspec.json.decode(out, type=_PluginAnswer)
        except NOT_JSON:
            raise self._failed("printed something that is no ExecCredential.") from None
        if answer.api_version != self._version:
            raise self._failed(f"answers in {answer.api_version}, the kubeconfig asks for {self._version}.")
        status = answer.status or _PluginStatus()
        certificate, key = status.client_certificate_data or "", status.client_key_data or ""
        if not status.token and not (certificate and key):
            raise self._failed("printed neither a token nor a client certificate with its key.")
        return Credential(
            token=(status.token or "").strip(),
            certificate=certificate,
            key=key,
            expires_at=_expiry(status.expiration_timestamp),
        )

    def _failed(self, what: str, outcome: Outcome = Outcome.UNAUTHORISED) -> Failure:
        return Failure(outcome, f"The credential plugin {self._command} {what}")


def _is_over(credential: Credential) -> bool:
    return credential.expires_at is not None and credential.expires_at - _EXPIRY_MARGIN <= datetime.now(UTC)


def _expiry(raw: str | None) -> datetime | None:
    """None where the plugin named no expiry or no readable one: then only a refusal renews the credential."""
    try:
        at = datetime.fromisoformat(raw or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _cluster_info(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """What provideClusterInfo hands the plugin: the cluster entry, and its own extension as `config`."""
    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    info = {name: cluster[name] for name in names if cluster.get(name)}
    for extension in cluster.get("extensions") or []:
        if isinstance(extension, dict) and extension.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info
