"""Sends the audit log outside, in the order of its chain: to syslog (RFC 5424) and to a signed webhook.

At least once: Postgres keeps the position of each receiver, and moves it after a batch was accepted. Receivers
recognise repetitions and gaps by `number`.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from fleet.models import AuditStream
from fleet.selectors.audit.audit import EntryDocument, documents_after
from fleet.services.notifications import webhooks

log = logging.getLogger(__name__)
BATCH = 200
BATCHES = 10
PAUSE = timedelta(seconds=30)
"""After a failure. The log keeps growing; nothing is lost."""
TIMEOUT_S = 5.0
_LARGEST_DATAGRAM = 8_192
_PRIORITY = 13 * 8 + 5
"""Facility 13 (log audit), severity 5 (notice)."""
_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}


class StreamError(Exception):
    """Why a batch was not accepted, as a sentence for people."""


def send_new(now: datetime) -> int:
    """Sends what each configured receiver does not have yet and returns the number of entries sent."""
    sinks: dict[str, Callable[[Sequence[EntryDocument], datetime], None]] = {}
    if settings.AUDIT_SYSLOG:
        sinks["syslog"] = _to_syslog
    if settings.AUDIT_WEBHOOK:
        sinks["webhook"] = _to_webhook
    return sum(_send(name, send, now) for name, send in sinks.items())


def _send(name: str, send: Callable[[Sequence[EntryDocument], datetime], None], now: datetime) -> int:
    AuditStream.objects.get_or_create(sink=name)
    sent = 0
    for _ in range(BATCHES):
        with transaction.atomic():
            # Locked while a batch is sent: of two workers only one sends it.
            row = AuditStream.objects.select_for_update(skip_locked=True).filter(sink=name).first()
            if row is None or (row.failed_at is not None and now - row.failed_at < PAUSE):
                return sent
            batch = list(documents_after(row.number, BATCH))
            if not batch:
                return sent
            try:
                send(batch, now)
            except StreamError as error:
                log.warning("The audit log was not sent to %s: %s", name, error)
                row.failed_at, row.error = now, str(error)[:500]
                row.save(update_fields=["failed_at", "error"])
                return sent
            row.number, row.sent_at, row.failed_at, row.error = batch[-1]["number"], now, None, ""
            row.save(update_fields=["number", "sent_at", "failed_at", "error"])
        sent += len(batch)
    return sent


def _to_webhook(batch: Sequence[EntryDocument], now: datetime) -> None:
    body = json.dumps({"entries": batch}, ensure_ascii=False, separators=(",", ":")).encode()
    delivery = f"audit-{batch[0]['number']}-{batch[-1]['number']}"
    sent = webhooks.post(settings.AUDIT_WEBHOOK, settings.AUDIT_WEBHOOK_SECRET, body, delivery, now)
    if not sent.ok:
        raise StreamError(sent.error)


def _to_syslog(batch: Sequence[EntryDocument], now: datetime) -> None:
    parts = urlsplit(settings.AUDIT_SYSLOG)
    try:
        with _connection(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]) as connection:
            for entry in batch:
                line = syslog_line(entry, _LARGEST_DATAGRAM if parts.scheme == "udp" else None)
                # RFC 6587, octet counting: a message may contain anything.
                connection.sendall(line if parts.scheme == "udp" else str(len(line)).encode() + b" " + line)
    except OSError as error:
        raise StreamError(f"{parts.scheme}://{parts.hostname}: {error.strerror or error or type(error).__name__}") from error


@contextmanager
def _connection(scheme: str, host: str, port: int) -> Iterator[socket.socket]:
    if scheme == "udp":
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as datagrams:
            datagrams.settimeout(TIMEOUT_S)
            datagrams.connect(address)
            yield datagrams
        return
    with closing(socket.create_connection((host, port), TIMEOUT_S)) as plain:
        if scheme == "tcp":
            yield plain
            return
        with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as encrypted:
            yield encrypted


def syslog_line(entry: EntryDocument, largest: int | None) -> bytes:
    """Returns one RFC 5424 message with the entry as JSON. One that is too long for a datagram leaves its detail out."""
    head = f"<{_PRIORITY}>1 {entry['at']} {_name(socket.gethostname())} muster - {_name(entry['action'])} - "
    line = head.encode() + json.dumps(entry, separators=(",", ":")).encode()
    if largest is not None and len(line) > largest:
        short = {**entry, "detail": {"omitted": True}, "reason": entry["reason"][:500]}
        line = head.encode() + json.dumps(short, separators=(",", ":")).encode()
    return line


def _name(text: str) -> str:
    """Returns a text as RFC 5424 allows it for a host or an id: printable ASCII without blanks, at most 32 characters."""
    return "".join(letter for letter in text if "!" <= letter <= "~")[:32] or "-"
