"""Signed webhooks: one POST of JSON, signed against forgery and numbered against repetition.

    Muster-Delivery: <uuid of the message, the same at every try>      Idempotency-Key: the same
    Muster-Timestamp: <seconds since 1970, of this try>
    Muster-Signature: v1=<hex of HMAC-SHA256(secret, "<timestamp>.<body>")>

A receiver compares the signature in constant time, refuses old timestamps, and leaves out a Muster-Delivery it has seen.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.parse import unquote, urlsplit

import certifi
import urllib3
from django.conf import settings

from fleet.collectors.deadline import Deadline
from fleet.collectors.timed_responses import until, use_timed_responses
from fleet.services.notifications import guard
from fleet.services.notifications.messages import Message
from fleet.services.notifications.outcomes import Sent

CONNECT_S, READ_S, WHOLE_S = 5.0, 10.0, 20.0
"""For a connection, for one wait for bytes, and for the whole answer however many waits it takes."""
_WORTH_ANOTHER_TRY = {408, 409, 425, 429}


def check(address: str) -> str:
    """The address as it may be shown, without path and query: they may hold tokens. Raises ValueError or guard.RefusedError."""
    parts = urlsplit(address)  # ValueError for a broken IPv6 address
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("A webhook's address begins with https:// (or http://) and names a host.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Remove user and password from the address: the signature identifies the sender.")
    if parts.fragment or any(ord(letter) <= 32 for letter in address):
        raise ValueError("The address contains a space or a # part: remove it, it is never sent to the server.")
    port = parts.port  # ValueError outside 0 to 65535
    guard.check_host(parts.hostname)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    rest = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{rest}"[:300]


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of Muster-Signature."""
    digest = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def send(address: str, secret: str, message: Message, now: datetime) -> Sent:
    """One try: one POST, no redirect is followed, nothing inside of Muster's own network is reached."""
    body = json.dumps(message.body, ensure_ascii=False, separators=(",", ":")).encode()
    with guard.only_outside() as watch:
        sent = post(address, secret, body, message.body["id"], now)
    return Sent(False, watch.refused, lasting=True) if watch.refused else sent


def post(address: str, secret: str, body: bytes, delivery: str, now: datetime) -> Sent:
    """Posts JSON once, signed, directly or through the proxy of the environment. `delivery` is the same at every try."""
    stamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"Muster/{settings.VERSION}",
        "Muster-Delivery": delivery,
        "Idempotency-Key": delivery,
        "Muster-Timestamp": str(stamp),
        "Muster-Signature": sign(secret, stamp, body),
    }
    timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
    with _pool(address) as pool, until(Deadline(WHOLE_S)):
        use_timed_responses(pool)
        try:
            answer = pool.request(
                "POST", address, body=body, headers=headers, timeout=timeout, retries=False, redirect=False, preload_content=False
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Sent(False, _reason(error))
        status, wait, to = answer.status, answer.headers.get("Retry-After"), answer.headers.get("Location")
        answer.close()
    if 200 <= status < 300:
        return Sent(True)
    if 300 <= status < 400:
        where = urlsplit(to or "").hostname
        return Sent(
            False,
            f"The receiver answered {status}, a redirect{f' to {where}' if where else ''}. Enter the final address.",
            lasting=True,
        )
    return Sent(
        False,
        f"The receiver answered {status}.",
        lasting=status < 500 and status not in _WORTH_ANOTHER_TRY,
        wait_s=_seconds(wait, now),
    )


def _pool(address: str) -> urllib3.PoolManager:
    proxy = guard.proxy_for(address)
    if not proxy:
        return urllib3.PoolManager(num_pools=1, ssl_context=_trust())
    auth = urlsplit(proxy)
    headers = None
    if auth.username:
        headers = urllib3.make_headers(proxy_basic_auth=f"{unquote(auth.username)}:{unquote(auth.password or '')}")
    return urllib3.ProxyManager(proxy, num_pools=1, ssl_context=_trust(), proxy_ssl_context=_trust(), proxy_headers=headers)


def _reason(error: Exception) -> str:
    """Returns the reason in words that contain neither address nor path."""
    match error:
        case urllib3.exceptions.ProxyError():
            return "The proxy does not respond, or refuses this address."
        case urllib3.exceptions.NewConnectionError() | urllib3.exceptions.NameResolutionError():
            return "Connection refused, or the name does not resolve."
        case urllib3.exceptions.ConnectTimeoutError():
            return f"No connection within {CONNECT_S:.0f} s."
        case urllib3.exceptions.ReadTimeoutError():
            return f"No answer within {READ_S:.0f} s, or no whole one within {WHOLE_S:.0f} s."
        case urllib3.exceptions.SSLError():
            return "The certificate is not trusted, or the TLS handshake failed."
        case _:
            return f"The connection was lost ({type(error).__name__})."


def _seconds(text: str | None, now: datetime) -> float | None:
    """Retry-After, which is seconds or a date."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return None


@cache
def _trust() -> ssl.SSLContext:
    """The system's authorities (SSL_CERT_FILE adds your own) and certifi's, for images without any."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
