"""The only file that talks through the `kubernetes` package: its configuration and transport, none of its models.

The package is imported with the first client, not with this module: it costs 0.7 s and 42 MB, which processes that
never collect need not pay. Answers stay bytes; a status other than 200 is not an exception here (session.py evaluates it).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import urllib3.exceptions as http

from fleet import __version__
from fleet.collectors.addresses import find_host, is_loopback
from fleet.collectors.bodies import read_body
from fleet.collectors.connections import Connection, Resolved, resolve
from fleet.collectors.credentials import Credential, ExecPlugin, Source, TokenFile
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Asked, ConfigurationError, Failure, from_transport, shorten, timed_out
from fleet.collectors.socks import parse_proxy
from fleet.collectors.timed_responses import until, use_timed_responses
from fleet.collectors.tls import Tls, read_pem
from fleet.domain.snapshot.sections import Outcome

Params = Sequence[tuple[str, str | int]]

JSON = "application/json"
CONNECT_TIMEOUT_S = 3.0
POOL_SIZE = 32  # as many exporters are read at once through the API server; unneeded connections are not opened
USER_AGENT = f"muster/{__version__}"  # a name that begins with curl or Mozilla would be sent twice the bytes, indented


class Answer(msgspec.Struct, frozen=True):
    """What came back: any status, the headers, the whole body (decompressed)."""

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray


class Client:
    """One cluster's API server. Thread-safe; keeps connections open between runs."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._transport: _Transport | None = None

    def request(  # noqa: PLR0913 the parts of an HTTP request
        self,
        method: str,
        path: str,
        *,
        asked: Asked,
        deadline: Deadline,
        params: Params = (),
        body: Mapping[str, Any] | None = None,
        accept: str = JSON,
        timeout_s: float,
        max_bytes: int,
        renews: bool = True,
    ) -> Answer:
        """One request.

        After a 401 the configuration is read again, and where that has another credential the request is made once more,
        unless `renews` is false.
        Raises Failure without an answer, and for an answer above `max_bytes`.
        """
        transport = self._current(deadline)
        answer = transport.request(method, path, params, body, accept, asked, deadline, timeout_s, max_bytes)
        if answer.status == 401 and renews:
            renewed = self._renew(transport, deadline)
            if renewed is not transport:
                return renewed.request(method, path, params, body, accept, asked, deadline, timeout_s, max_bytes)
        return answer

    def find_host(self, deadline: Deadline) -> None:
        """Resolve the name of the server, or of the proxy in front of it, within the connect time-out.

        The resolver itself has no time-out, and can block a run for half a minute. Raises Failure.
        """
        find_host(self._current(deadline).proxy or self.connection.server, deadline.at_most(CONNECT_TIMEOUT_S))

    def close(self) -> None:
        with self._lock:
            if self._transport is not None:
                self._transport.close()
                self._transport = None

    def _current(self, deadline: Deadline) -> _Transport:
        with self._lock:
            if self._transport is None or self._transport.is_outdated():
                self._transport = _Transport(self.connection, deadline)
            return self._transport

    def _renew(self, refused: _Transport, deadline: Deadline) -> _Transport:
        """The transport to try after a 401: another one only where the credential has really changed."""
        with self._lock:
            if self._transport is refused:
                renewed = _Transport(self.connection, deadline, fresh=True)
                if renewed.identity != refused.identity:
                    self._transport = renewed
            return self._transport or refused


class _Transport:
    """The kubernetes client behind one reading of the configuration."""

    def __init__(self, connection: Connection, deadline: Deadline, *, fresh: bool = False) -> None:
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.client.exceptions import ApiException
        from kubernetes.client.rest import should_bypass_proxies

        self._errors = (ApiException, http.HTTPError, OSError)
        self._server = connection.server
        self._paths = list(connection.kubeconfig)
        self._configuration = Configuration()
        self._configuration.retries = False  # session.py retries, with jitter and within the run's deadline
        self._configuration.connection_pool_maxsize = POOL_SIZE
        self._configuration.keep_alive = True
        self._source: Source | None = None
        self._tls = Tls()
        self._headers = {"Accept-Encoding": "gzip"}
        if connection.in_cluster:
            self._load_in_cluster()
        else:
            self._load(resolve(connection))
        if connection.in_cluster or is_loopback(self._server):
            # The network is no bottleneck there, and packing costs the server more time than sending, and Muster
            # a third of its own (a run over 5,000 nodes and 30,000 pods: 4.4 s of CPU with it, 3.1 s without).
            self._headers["Accept-Encoding"] = "identity"
        self._stamp = _stamp(self._paths)
        if should_bypass_proxies(self._configuration.host, self._configuration.no_proxy or ""):
            self._configuration.proxy = None
        self.proxy: str = self._configuration.proxy or ""
        """Address of the proxy in front of the server; empty without one. May hold a password: never log it."""
        socks = parse_proxy(self.proxy)
        if socks is not None:
            self._configuration.proxy = None  # the package would look for a library that opens such connections
        self._api = ApiClient(self._configuration)
        self._api.user_agent = USER_AGENT
        use_timed_responses(self._api.rest_client.pool_manager, socks)
        self._credential = Credential()
        self._use(self._source.current(deadline.remaining(), fresh=fresh) if self._source else self._credential, True)
        self.identity = (self._configuration.api_key.get("BearerToken", ""), self._tls.certificate, self._tls.key)

    def is_outdated(self) -> bool:
        """Whether a file this was read from has changed since: a renewed kubeconfig, CA or certificate."""
        return _stamp(self._paths) != self._stamp

    def close(self) -> None:
        self._api.rest_client.pool_manager.clear()
        self._api.close()

    def request(  # noqa: PLR0913 the parts of an HTTP request
        self,
        method: str,
        path: str,
        params: Params,
        body: Mapping[str, Any] | None,
        accept: str,
        asked: Asked,
        deadline: Deadline,
        timeout_s: float,
        max_bytes: int,
    ) -> Answer:
        if self._source is not None:
            self._use(self._source.current(deadline.remaining()))
        started = deadline.remaining()
        headers = {**self._headers, "Accept": accept, **({"Content-Type": JSON} if body is not None else {})}
        response = None
        try:
            call = self._api.param_serialize(
                method, path, query_params=list(params), header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            limits = (deadline.at_most(CONNECT_TIMEOUT_S), deadline.at_most(timeout_s))
            with until(deadline):
                response = self._api.call_api(*call, _request_timeout=limits).response
            content = read_body(response, asked, deadline, max_bytes)
        except self._errors as error:
            if response is not None:
                response.close()
            if deadline.spent:
                raise timed_out(asked, started) from error
            raise from_transport(error, self._server, started - deadline.remaining(), asked) from error
        except ValueError as error:  # http.client refuses line breaks and other than Latin letters in a header
            raise Failure(Outcome.UNAUTHORISED, "Muster's token holds characters that no token may hold.") from error
        response.release_conn()
        return Answer(response.status, response.headers, content)

    def _use(self, credential: Credential, force: bool = False) -> None:
        if credential.token and credential.token != self._credential.token:
            self._configuration.api_key["BearerToken"] = f"Bearer {credential.token}"
        if credential.certificate != self._credential.certificate:
            self._tls = msgspec.structs.replace(self._tls, certificate=credential.certificate, key=credential.key)
            force = True
        if force and self._server.startswith("https:"):
            settings = self._api.rest_client.pool_manager.connection_pool_kw
            for name in ("ca_certs", "ca_cert_data", "cert_file", "key_file"):
                settings.pop(name, None)
            settings["ssl_context"] = self._tls.context()
        self._credential = credential

    def _load_in_cluster(self) -> None:
        from kubernetes.config import ConfigException, incluster_config

        try:
            incluster_config.load_incluster_config(self._configuration, try_refresh_token=False)
        except (ConfigException, OSError) as error:
            raise ConfigurationError(f"Muster cannot use its pod's service account: {shorten(str(error))}") from None
        self._source = TokenFile(incluster_config.SERVICE_TOKEN_FILENAME)
        self._server = self._configuration.host
        self._tls = Tls(authority=read_pem(self._configuration.ssl_ca_cert, "The cluster's CA file"))
        self._paths.append(self._configuration.ssl_ca_cert)

    def _load(self, resolved: Resolved) -> None:
        """Hand the package what it is good at (server, proxy, basic and provider logins); keep files and plugins."""
        from kubernetes.config import ConfigException, load_kube_config_from_dict

        cluster, user = dict(resolved.cluster), dict(resolved.user)
        self._tls = Tls(
            authority=self._pem(cluster, "certificate-authority"),
            certificate=self._pem(user, "client-certificate"),
            key=self._pem(user, "client-key"),
            verify=not cluster.get("insecure-skip-tls-verify"),
        )
        plugin, token_file = user.pop("exec", None), user.pop("tokenFile", None)
        if token_file:
            user.pop("token", None)
            self._source = TokenFile(token_file)
        elif plugin and not user.get("token"):
            self._source = ExecPlugin(plugin, resolved.cluster)
        if isinstance(user.get("token"), str):
            user["token"] = user["token"].strip()
        if cluster.get("disable-compression"):
            self._headers["Accept-Encoding"] = "identity"
        self._impersonate(user)
        names = {"cluster": "it", "user": "it"}
        whole = {
            "contexts": [{"name": "it", "context": names}],
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "it", "user": user}] if user else [],
        }
        try:
            load_kube_config_from_dict(whole, context="it", client_configuration=self._configuration)
        except (ConfigException, OSError) as error:
            raise ConfigurationError(f"The kubeconfig cannot be used: {shorten(str(error))}") from None

    def _pem(self, entry: dict[str, Any], name: str) -> str:
        """The PEM text behind NAME-data or the file NAME; both are taken out of the entry."""
        path, data = entry.pop(name, None), entry.pop(f"{name}-data", None)
        if data:
            try:
                return base64.b64decode(data, validate=False).decode("utf-8")
            except (binascii.Error, UnicodeDecodeError, TypeError):
                raise ConfigurationError(f"In the kubeconfig {name}-data is not base64 of a PEM text.") from None
        if not path:
            return ""
        self._paths.append(path)
        return read_pem(path, f"The kubeconfig's {name}")

    def _impersonate(self, user: Mapping[str, Any]) -> None:
        groups = user.get("as-groups") or []
        if len(groups) > 1 or user.get("as-user-extra"):
            raise ConfigurationError("The kubeconfig impersonates several groups or extras, which Muster cannot do.")
        if user.get("as"):
            self._headers["Impersonate-User"] = str(user["as"])
        if groups:
            self._headers["Impersonate-Group"] = str(groups[0])


def _stamp(paths: Sequence[str]) -> tuple[int, ...]:
    """Modification times; 0 for a file that is not there at the moment (it may be being replaced)."""
    stamps = []
    for path in paths:
        stamp = 0
        with contextlib.suppress(OSError):
            stamp = Path(path).stat().st_mtime_ns
        stamps.append(stamp)
    return tuple(stamps)


def preload() -> None:
    """Import the kubernetes package now: for a parent process about to fork workers that will share its memory."""
    import kubernetes.client
    import kubernetes.config  # noqa: F401
