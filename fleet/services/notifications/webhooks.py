"""Signed webhooks: one POST of JSON, which the receiver can tell from a forgery and from a repetition.

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
from urllib.parse import urlsplit

import certifi
import urllib3
from django.conf import settings

from fleet.services.notifications import guard
from fleet.services.notifications.messages import Message
from fleet.services.notifications.outcomes import Sent

CONNECT_S, READ_S = 5.0, 10.0
_WORTH_ANOTHER_TRY = {408, 409, 425, 429}


def check(address: str) -> str:
    """The address as it may be shown, without path and query: they may hold tokens. Raises ValueError or guard.RefusedError."""
    parts = urlsplit(address)  # ValueError for a broken IPv6 address
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("A webhook's address begins with https:// (or http://) and names a host.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Leave user and password out of the address: the signature tells the receiver who asks.")
    if parts.fragment or any(ord(letter) <= 32 for letter in address):
        raise ValueError("The address holds a blank or a # part, which no server ever sees.")
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
    """One try: one POST, no redirect is followed."""
    body = json.dumps(message.body, ensure_ascii=False, separators=(",", ":")).encode()
    stamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"Muster/{settings.VERSION}",
        "Muster-Delivery": message.body["id"],
        "Idempotency-Key": message.body["id"],
        "Muster-Timestamp": str(stamp),
        "Muster-Signature": sign(secret, stamp, body),
    }
    timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
    with guard.only_outside() as watch, urllib3.PoolManager(num_pools=1, ssl_context=_trust()) as pool:
        try:
            answer = pool.request(
                "POST", address, body=body, headers=headers, timeout=timeout, retries=False, redirect=False, preload_content=False
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if watch.refused:
                return Sent(False, watch.refused, lasting=True)
            return Sent(False, _reason(error))
        status, wait, to = answer.status, answer.headers.get("Retry-After"), answer.headers.get("Location")
        answer.close()
    if 200 <= status < 300:
        return Sent(True)
    if 300 <= status < 400:
        where = urlsplit(to or "").hostname
        return Sent(
            False, f"It answers {status}, a redirect{f' to {where}' if where else ''}. Enter the final address.", lasting=True
        )
    return Sent(
        False,
        f"It answers {status}.",
        lasting=status < 500 and status not in _WORTH_ANOTHER_TRY,
        wait_s=_seconds(wait, now),
    )


def _reason(error: Exception) -> str:
    """In words that name neither address nor path."""
    match error:
        case urllib3.exceptions.NewConnectionError() | urllib3.exceptions.NameResolutionError():
            return "No connection: nobody listens there, or the name leads nowhere."
        case urllib3.exceptions.ConnectTimeoutError():
            return f"No connection within {CONNECT_S:.0f} s."
        case urllib3.exceptions.ReadTimeoutError():
            return f"No answer within {READ_S:.0f} s."
        case urllib3.exceptions.SSLError():
            return "The certificate cannot be trusted, or TLS was not understood."
        case _:
            return f"The connection broke ({type(error).__name__})."


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
    """The system's authorities (SSL_CERT_FILE adds one of your own) and certifi's, for images that bring none."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
