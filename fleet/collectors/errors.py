"""Turns every failure of a request to a cluster into an outcome and one sentence.

`from_answer` is for HTTP answers, `from_transport` for requests without an answer.
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

from fleet.domain.snapshot.sections import Outcome

NOT_JSON = (msgspec.MsgspecError, RecursionError)
"""What decoding of JSON raises: ten thousand brackets in a row are no MsgspecError."""


class ConfigurationError(ValueError):
    """A kubeconfig, context or in-cluster setting that cannot be used; the text says which and what to do."""


class Failure(Exception):  # noqa: N818 - a failure is data here: an outcome and a sentence, caught per section
    """A request or section that failed. `reason` is the sentence shown on screen."""

    def __init__(self, outcome: Outcome, reason: str, *, retry_after: float | None = None, transient: bool = False) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.retry_after = retry_after
        """Seconds the server asks to wait; None where it does not state any."""
        self.transient = transient
        """Whether a retry in a moment can succeed."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request was for, in the terms of an RBAC rule.

    A 404 of a core resource means that the server is not a Kubernetes API server; of an optional one, that it is not installed.
    """

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
    """Returns the failure for an HTTP answer other than 200 and 201."""
    result = _status(body)
    answer = _said(status, result, body)
    if status == 401:
        return Failure(Outcome.UNAUTHORISED, "The API server does not accept Muster's credentials (401).")
    if status == 403:
        return _forbidden(result, asked)
    if status == 404:
        return _not_found(asked, answer)
    if status == 410 or (status == 400 and "continue" in answer):
        return Failure(Outcome.EXPIRED, f"The list of {asked.resource} expired while it was being read.")
    if status == 413:
        return Failure(Outcome.TOO_LARGE, f"Request too large (413): {asked.words}.")
    if status == 429:
        return Failure(
            Outcome.THROTTLED,
            f"The API server limits Muster's requests (429): {asked.words}. Muster retries later.",
            retry_after=_retry_after(headers, result),
            transient=True,
        )
    if status >= 500:
        return Failure(
            Outcome.UNREACHABLE,
            f"The API server failed to {asked.words}: {answer}.",
            retry_after=_retry_after(headers, result),
            transient=status in _TRANSIENT,
        )
    if 300 <= status < 400:
        to = headers.get("Location", "another address")
        return Failure(
            Outcome.MALFORMED, f"The server redirects to {to}, so it is not a Kubernetes API server. Correct the address."
        )
    outcome = Outcome.REFUSED if status >= 400 else Outcome.MALFORMED
    return Failure(outcome, f"The API server refused the request to {asked.words}: {answer}.")


def _forbidden(__status: _Status, asked: Asked) -> Failure:
    user = _USER.search(__status.message or "")
    if user and user[1] == _ANONYMOUS:
        return Failure(
            Outcome.UNAUTHORISED,
            "The API server treats Muster as anonymous: it does not know the credential, or none was sent.",
        )
    who = f"The account {user[1]}" if user else "Muster's account"
    return Failure(Outcome.FORBIDDEN, f"{who} may not {asked.words}.")


def _not_found(asked: Asked, row: str) -> Failure:
    if asked.optional:
        return Failure(Outcome.ABSENT, f"Not installed: {asked.words} returned 404.")
    return Failure(
        Outcome.MALFORMED,
        f"The server cannot {asked.words} ({row}), so it is not a Kubernetes API server. Correct the address.",
    )


def _status(body: bytes) -> _Status:
    try:
        return _decode_status(body)
    except NOT_JSON:
        return _Status()


def _said(status: int, __status: _Status, body: bytes) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    text = __status.message or ("" if body.lstrip()[:1] in (b"<", b"{") else body[:200].decode("utf-8", "replace"))
    return shorten(f"{status} {phrase}".strip() + (f", {text}" if text.strip() else "")).rstrip(".")


def shorten(text: str, limit: int = 300) -> str:
    """Returns the text as one line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _retry_after(headers: Mapping[str, str], __status: _Status) -> float | None:
    """Returns the seconds to wait from the header (a number or a date) or the Status; None where neither has any."""
    raw = (headers.get("Retry-After") or "").strip()
    if raw.isdecimal():
        return float(raw)
    if raw:
        try:
            at, sent = parsedate_to_datetime(raw), parsedate_to_datetime(headers.get("Date") or "")
            return max(0.0, (at - sent).total_seconds())
        except (TypeError, ValueError):
            return None
    return __status.details.retryAfterSeconds if __status.details else None


def from_transport(error: Exception, server: str, waited_s: float, asked: Asked) -> Failure:
    """Returns the failure for an exception of the HTTP transport. `waited_s` is how many seconds the request took."""
    cause = _root(error)
    text = str(cause) or type(cause).__name__
    if isinstance(cause, ssl.SSLError) or isinstance(error, http.SSLError):
        return Failure(Outcome.TLS, _tls(text, server))
    if isinstance(error, http.NameResolutionError) or isinstance(cause, socket.gaierror):
        return Failure(Outcome.UNREACHABLE, f"The name does not resolve: {server} ({shorten(text, 120)}).")
    if isinstance(error, http.ProxyError):
        return Failure(Outcome.UNREACHABLE, f"The proxy in front of {server} failed: {shorten(text, 160)}.")
    if isinstance(cause, ConnectionRefusedError):
        return Failure(Outcome.UNREACHABLE, f"Connection refused: {server}.", transient=True)
    if isinstance(error, http.NewConnectionError):  # a subclass of TimeoutError in urllib3, but not a time-out
        return _unreachable(server, text)
    if isinstance(error, http.ConnectTimeoutError):
        return Failure(Outcome.UNREACHABLE, f"Connection timed out after {waited_s:.1f} s: {server}.")
    if isinstance(error, http.TimeoutError | TimeoutError) or isinstance(cause, TimeoutError):
        return timed_out(asked, waited_s)
    if isinstance(error, http.DecodeError):
        return Failure(Outcome.MALFORMED, f"The answer to the request to {asked.words} cannot be decompressed.")
    if isinstance(error, http.ProtocolError):
        return Failure(
            Outcome.UNREACHABLE,
            f"Connection closed before the answer was complete: {server} ({shorten(text, 120)}).",
            transient=True,
        )
    return _unreachable(server, text)


def _unreachable(server: str, text: str) -> Failure:
    return Failure(Outcome.UNREACHABLE, f"Unreachable: {server} ({shorten(text, 160)}).")


def timed_out(asked: Asked, waited_s: float) -> Failure:
    return Failure(Outcome.TIMEOUT, f"The request to {asked.words} was not answered within {waited_s:.1f} s.")


def _root(error: BaseException) -> BaseException:
    """Returns the operating system's error that urllib3 and the kubernetes client wrap; else the error itself."""
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        if isinstance(inner, OSError) and not isinstance(inner, http.HTTPError):
            return inner
        seen.add(id(inner))
        wrapped = next((arg for arg in inner.args if isinstance(arg, BaseException)), None)
        inner = inner.__cause__ or inner.__context__ or wrapped
    return error


_TLS_CAUSES = (
    ("self-signed", "its certificate is signed by an unknown authority; add certificate-authority-data"),
    ("self signed", "its certificate is signed by an unknown authority; add certificate-authority-data"),
    (
        "certificate signature failure",
        "its certificate is not signed by the configured authority; correct certificate-authority-data",
    ),
    (
        "unable to get local issuer",
        "its certificate is not signed by the configured authority; correct certificate-authority-data",
    ),
    ("has expired", "its certificate has expired"),
    ("not yet valid", "its certificate is not valid yet; compare the clocks"),
    ("Hostname mismatch", "its certificate is for another name; correct the address or set tls-server-name"),
    ("IP address mismatch", "its certificate is for another address; correct the address or set tls-server-name"),
    ("doesn't match", "its certificate is for another name; correct the address or set tls-server-name"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS; check the scheme (http://) and the port"),
    ("HTTP_REQUEST", "it does not speak TLS; check the scheme (http://) and the port"),
    ("certificate required", "it requires a client certificate and none was sent"),
    ("CERTIFICATE_REQUIRED", "it requires a client certificate and none was sent"),
    ("HANDSHAKE_FAILURE", "it ended the handshake, most often because it requires a client certificate and none was sent"),
    ("unknown ca", "it does not know the authority of Muster's client certificate"),
    ("UNKNOWN_CA", "it does not know the authority of Muster's client certificate"),
    ("expired", "the server's or Muster's own certificate has expired"),
)


def _tls(text: str, server: str) -> str:
    for token, cause in _TLS_CAUSES:
        if token in text:
            return f"TLS connection failed to {server}: {cause}."
    return f"TLS connection failed to {server}: {shorten(text, 160)}."
