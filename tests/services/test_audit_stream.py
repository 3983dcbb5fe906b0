"""The audit log leaves Muster: to real listeners on loopback."""

from __future__ import annotations

import json
import re
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.models import AuditStream
from fleet.services.audit import audit
from fleet.services.audit_stream import send_new, syslog_line
from fleet.services.notifications.webhooks import sign
from tests.services.notifications.receivers import http_receiver

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECRET = "s" * 20


def test_a_webhook_receives_every_entry_once_in_order_and_signed(settings: Any) -> None:
    with http_receiver() as receiver:
        settings.AUDIT_WEBHOOK, settings.AUDIT_WEBHOOK_SECRET = f"{receiver.url}/audit", SECRET
        assert send_new(NOW) == 0
        for n in range(3):
            audit(None, "pool.save", f"pool-{n}", "Why ü.", {"after": {"n": n}})
        assert send_new(NOW) == 3
        audit(None, "pool.save", "pool-3")
        assert send_new(NOW) == 1
        assert send_new(NOW) == 0
    first, second = receiver.requests
    entries = [entry for request in receiver.requests for entry in json.loads(request.body)["entries"]]
    assert [(entry["number"], entry["subject"]) for entry in entries] == [(n + 1, f"pool-{n}") for n in range(4)]
    assert entries[0]["reason"] == "Why ü."
    assert len(entries[0]["digest"]) == 64
    assert first.headers["muster-signature"] == sign(SECRET, int(first.headers["muster-timestamp"]), first.body)
    assert (first.headers["muster-delivery"], second.headers["muster-delivery"]) == ("audit-1-3", "audit-4-4")


def test_a_receiver_that_fails_is_tried_again_and_nothing_is_lost(settings: Any) -> None:
    with http_receiver() as receiver:
        settings.AUDIT_WEBHOOK, settings.AUDIT_WEBHOOK_SECRET = receiver.url, SECRET
        receiver.answers = [503]
        audit(None, "pool.save", "one")
        assert send_new(NOW) == 0
        stream = AuditStream.objects.get()
        assert (stream.number, stream.failed_at, stream.error) == (0, NOW, "The receiver answered 503.")
        assert send_new(NOW + timedelta(seconds=29)) == 0
        assert len(receiver.requests) == 1
        audit(None, "pool.save", "two")
        assert send_new(NOW + timedelta(seconds=30)) == 2
        stream.refresh_from_db()
        assert (stream.number, stream.failed_at, stream.error) == (2, None, "")


def test_syslog_over_udp(settings: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        settings.AUDIT_SYSLOG = f"udp://127.0.0.1:{server.getsockname()[1]}"
        audit(None, "pool.save", "line\nbreak <13>1 forged")
        assert send_new(NOW) == 1
        line = server.recv(65_535).decode()
    match = re.fullmatch(r"<109>1 (\d{4}-\d\d-\d\dT[\d:.]+Z) (\S+) muster - pool\.save - (\{.*\})", line)
    assert match, line
    assert json.loads(match[3])["subject"] == "line\nbreak <13>1 forged"


def test_syslog_over_tcp_counts_octets(settings: Any) -> None:
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def read() -> None:
            connection, _ = server.accept()
            while data := connection.recv(4_096):
                received.extend(data)

        thread = threading.Thread(target=read)
        thread.start()
        settings.AUDIT_SYSLOG = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for name in ("one", "zwölf"):
            audit(None, "pool.save", name)
        assert send_new(NOW) == 2
        thread.join(5)
    subjects, rest = [], bytes(received)
    while rest:
        size, _, rest = rest.partition(b" ")
        line, rest = rest[: int(size)], rest[int(size) :]
        subjects.append(json.loads(line[line.index(b"{") :])["subject"])
    assert subjects == ["one", "zwölf"]


def test_a_missing_syslog_server_is_reported(settings: Any) -> None:
    settings.AUDIT_SYSLOG = "tcp://127.0.0.1:9"
    audit(None, "pool.save", "one")
    assert send_new(NOW) == 0
    assert AuditStream.objects.get().error == "tcp://127.0.0.1: Connection refused"


def test_a_datagram_leaves_out_what_does_not_fit() -> None:
    entry: Any = {"at": "2026-11-30T12:00:00Z", "action": "pool.save", "reason": "r" * 2_000, "detail": {"x": "y" * 9_000}}
    assert len(syslog_line(entry, None)) > 8_192
    line = syslog_line(entry, 8_192)
    assert len(line) <= 8_192
    assert json.loads(line[line.index(b"{") :])["detail"] == {"omitted": True}
