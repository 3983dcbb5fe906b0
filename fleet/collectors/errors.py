"""The closed set of ways in which reading a cluster fails, each with one plain sentence.

Two makers: `from_answer` for what a server said, `from_transport` for what never became an answer.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import msgspec
import urllib3.exceptions as http

from fleet.domain.outcomes import Outcome


class ConfigurationError(ValueError):
    """A kubeconfig, context or in-cluster setting that cannot be used; the text says which and what to do."""


class Failure(Exception):  # noqa: N818 - a failure is data here: an outcome and a sentence, caught per section
    """One request, or one section, that failed. `reason` is a sentence for people."""

    def __init__(self, outcome: Outcome, reason: str, *, retry_after: float | None = None, transient: bool = False) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.retry_after = retry_after
        """Seconds the server asked to wait; None where it did not say."""
        self.transient = transient
        """Whether asking again in a moment is sensible."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request wanted, in the words of an RBAC rule: for sentences, and for telling a 404 of a core resource
    (this is no Kubernetes API) from a 404 of an optional one (it is not installed)."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    optional: bool = False

    @property
    def words(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        name = f" {self.name}" if self.name else ""
        place = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {resource}{name}{place}"


class _Details(msgspec.Struct):
    retryAfterSeconds: float | None = None  # noqa: N815 - the wire's name


class _Status(msgspec.Struct):
    kind: str | None = None
    message: str | None = None
    reason: str | None = None
    details: _Details | None = None


_decode_status = msgspec.json.Decoder(_Status).decode
_USER = re.compile(r'User "([^"]*)"')
_TRANSIENT = frozenset({500, 502, 503, 504})
_ANONYMOUS = "system:anonymous"


def from_answer(status: int, headers: Mapping[str, str], body: bytes, asked: Asked) -> Failure:
    """The failure that an HTTP answer other than 200 and 201 means."""
    told = _status(body)
    said = _said(status, told, body)
    if status == 401:
        return Failure(Outcome.UNAUTHORISED, "The API server does not accept Muster's credentials (401).")
    if status == 403:
        return _forbidden(told, asked)
    if status == 404:
        return _not_found(asked, said)
    if status == 410 or (status == 400 and "continue" in said):
        return Failure(Outcome.EXPIRED, f"The list of {asked.resource} expired while it was being read.")
    if status == 413:
        return Failure(Outcome.TOO_LARGE, f"The API server calls the request to {asked.words} too large (413).")
    if status == 429:
        return Failure(
            Outcome.THROTTLED,
            f"The API server asked Muster to slow down (429) when it wanted to {asked.words}.",
            retry_after=_retry_after(headers, told),
            transient=True,
        )
    if status >= 500:
        return Failure(
            Outcome.UNREACHABLE,
            f"The API server could not answer the request to {asked.words}: {said}.",
            retry_after=_retry_after(headers, told),
            transient=status in _TRANSIENT,
        )
    if 300 <= status < 400:
        to = headers.get("Location", "elsewhere")
        return Failure(Outcome.MALFORMED, f"The server redirects to {to}: this is no Kubernetes API server.")
    return Failure(Outcome.MALFORMED, f"The API server refused the request to {asked.words}: {said}.")


def _forbidden(told: _Status, asked: Asked) -> Failure:
    user = _USER.search(told.message or "")
    if user and user[1] == _ANONYMOUS:
        return Failure(
            Outcome.UNAUTHORISED,
            "The API server took Muster for an anonymous caller: no credential was sent, or none that it knows.",
        )
    who = f"The account {user[1]}" if user else "Muster's account"
    return Failure(Outcome.FORBIDDEN, f"{who} may not {asked.words}.")


def _not_found(asked: Asked, said: str) -> Failure:
    if asked.optional:
        return Failure(Outcome.ABSENT, f"There is nothing to {asked.words}: it is not installed.")
    return Failure(
        Outcome.MALFORMED,
        f"The server does not know how to {asked.words} ({said}): its address is not that of a Kubernetes API server.",
    )


def _status(body: bytes) -> _Status:
    try:
        return _decode_status(body)
    except msgspec.MsgspecError:
        return _Status()


def _said(status: int, told: _Status, body: bytes) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    text = told.message or ("" if body.lstrip()[:1] in (b"<", b"{") else body[:200].decode("utf-8", "replace"))
    return shorten(f"{status} {phrase}".strip() + (f", {text}" if text.strip() else "")).rstrip(".")


def shorten(text: str, limit: int = 300) -> str:
    """One line, at most `limit` characters: what others wrote must not fill a page."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _retry_after(headers: Mapping[str, str], told: _Status) -> float | None:
    """Seconds from the header (a number or a date) or from the Status; None where neither says."""
    raw = (headers.get("Retry-After") or "").strip()
    if raw.isdecimal():
        return float(raw)
    if raw:
        try:
            at, sent = parsedate_to_datetime(raw), parsedate_to_datetime(headers.get("Date") or "")
            return max(0.0, (at - sent).total_seconds())
        except (TypeError, ValueError):
            return None
    return told.details.retryAfterSeconds if told.details else None


def from_transport(error: Exception, server: str, waited_s: float, asked: Asked) -> Failure:
    """The failure behind an exception of the HTTP transport. `waited_s` is how long the request had been going."""
    cause = _root(error)
    text = str(cause) or type(cause).__name__
    if isinstance(cause, ssl.SSLError) or isinstance(error, http.SSLError):
        return Failure(Outcome.TLS, _tls(text, server))
    if isinstance(error, http.NameResolutionError) or isinstance(cause, socket.gaierror):
        return Failure(Outcome.UNREACHABLE, f"The name in {server} cannot be resolved ({shorten(text, 120)}).")
    if isinstance(error, http.ProxyError):
        return Failure(Outcome.UNREACHABLE, f"The proxy before {server} failed: {shorten(text, 160)}.")
    if isinstance(cause, ConnectionRefusedError):
        return Failure(Outcome.UNREACHABLE, f"{server} refuses connections.", transient=True)
    if isinstance(error, http.NewConnectionError):  # a kind of TimeoutError to urllib3, and yet no time-out
        return _unreachable(server, text)
    if isinstance(error, http.ConnectTimeoutError):
        return Failure(Outcome.UNREACHABLE, f"{server} did not accept a connection within {waited_s:.1f} s.")
    if isinstance(error, http.TimeoutError | TimeoutError) or isinstance(cause, TimeoutError):
        return timed_out(asked, waited_s)
    if isinstance(error, http.DecodeError):
        return Failure(Outcome.MALFORMED, f"The answer to the request to {asked.words} cannot be decompressed.")
    if isinstance(error, http.ProtocolError):
        return Failure(
            Outcome.UNREACHABLE,
            f"{server} broke the connection off before the answer was whole ({shorten(text, 120)}).",
            transient=True,
        )
    return _unreachable(server, text)


def _unreachable(server: str, text: str) -> Failure:
    return Failure(Outcome.UNREACHABLE, f"{server} cannot be reached: {shorten(text, 160)}.")


def timed_out(asked: Asked, waited_s: float) -> Failure:
    return Failure(Outcome.TIMEOUT, f"The request to {asked.words} was not answered within {waited_s:.1f} s.")


def _root(error: BaseException) -> BaseException:
    """The operating system's own error inside the wrappings of urllib3 and the kubernetes client; else the error."""
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        if isinstance(inner, OSError) and not isinstance(inner, http.HTTPError):
            return inner
        seen.add(id(inner))
        wrapped = next((arg for arg in inner.args if isinstance(arg, BaseException)), None)
        inner = inner.__cause__ or inner.__context__ or wrapped
    return error


_TLS_SAYINGS = (
    ("self-signed", "its certificate comes from an authority Muster was not given: add certificate-authority-data"),
    ("self signed", "its certificate comes from an authority Muster was not given: add certificate-authority-data"),
    ("certificate signature failure", "its certificate was not signed by the authority Muster was given"),
    ("unable to get local issuer", "its certificate comes from an authority Muster was not given, or another one"),
    ("has expired", "its certificate has expired"),
    ("not yet valid", "its certificate is not valid yet: compare the clocks"),
    ("Hostname mismatch", "its certificate is for another name: correct the address or set tls-server-name"),
    ("IP address mismatch", "its certificate is for another address: correct the address or set tls-server-name"),
    ("doesn't match", "its certificate is for another name: correct the address or set tls-server-name"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: is the address http:// or another port?"),
    ("HTTP_REQUEST", "it does not speak TLS: is the address http:// or another port?"),
    ("certificate required", "it demands a client certificate and got none"),
    ("CERTIFICATE_REQUIRED", "it demands a client certificate and got none"),
    ("HANDSHAKE_FAILURE", "it ended the handshake: most often because it demands a client certificate and got none"),
    ("unknown ca", "it does not know the authority of Muster's client certificate"),
    ("UNKNOWN_CA", "it does not know the authority of Muster's client certificate"),
    ("expired", "a certificate has expired, the server's or Muster's own"),
)


def _tls(text: str, server: str) -> str:
    for token, saying in _TLS_SAYINGS:
        if token in text:
            return f"No trusted connection to {server}: {saying}."
    return f"No trusted connection to {server}: {shorten(text, 160)}."
