"""What the pages and the API put on record by themselves, and how the log shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from fleet.models import AuditEntry, AuditStream, Role, User
from fleet.services import sign_in
from fleet.services.audit import audit
from fleet.services.sign_in_tries import MOST_OF_NAME
from tests.factories import a_cluster, a_node
from tests.web.test_pages import text_of

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture
def vera(db: None) -> User:
    user = User.objects.create(username="vera", role=Role.VIEWER)
    user.set_password(PASSWORD)
    user.save()
    return user


def actions() -> list[tuple[str, str]]:
    return [(entry.actor_name, entry.action) for entry in AuditEntry.objects.order_by("pk")]


def test_sign_in_and_out_are_on_record_with_address_and_request(client: Client, vera: User) -> None:
    answer = client.post("/sign-in/", {"username": "vera", "password": PASSWORD}, REMOTE_ADDR="192.0.2.7")
    client.post("/sign-out/")
    assert actions() == [("vera", "session.sign_in"), ("vera", "session.sign_out")]
    first = AuditEntry.objects.order_by("pk")[0]
    assert (first.actor, first.via, first.address) == (vera, "page", "192.0.2.7")
    assert first.request_id == answer["X-Request-ID"]
    assert first.detail == {"method": "password"}


@pytest.mark.usefixtures("held_time")
def test_failed_tries_are_on_record_and_a_lock_once(client: Client, vera: User) -> None:
    for _ in range(MOST_OF_NAME + 3):
        client.post("/sign-in/", {"username": "vera", "password": "wrong"}, REMOTE_ADDR="192.0.2.7")
    assert actions() == [("vera", "session.fail")] * MOST_OF_NAME + [("vera", "session.lock")]
    assert AuditEntry.objects.filter(actor__isnull=False).count() == 0
    assert PASSWORD not in str(list(AuditEntry.objects.values()))
    assert "wrong" not in str(list(AuditEntry.objects.values()))


def test_a_sign_in_by_link_is_on_record_without_its_secret(client: Client) -> None:
    link = sign_in.create_owner_link("http://testserver")
    client.post(link)
    entry = AuditEntry.objects.get(action="session.sign_in")
    assert (entry.actor_name, entry.detail) == ("owner", {"method": "link"})
    assert link.rsplit("/", 2)[-2] not in str(AuditEntry.objects.values()[0])


def test_an_export_is_on_record_with_its_filters(reader: Any) -> None:
    a_node("n1")
    b"".join(reader.get("/api/v1/nodes/?format=csv&cluster=east").streaming_content)
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.subject) == ("otto", "export.csv", "nodes")
    assert (entry.via, entry.detail) == ("api", {"filters": "format=csv&cluster=east"})


def test_a_requested_run_is_in_the_audit_log(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.tasks.enqueue", lambda *_: None)
    a_cluster("east", queued_at=None)
    reader.post("/clusters/east/collect/")
    reader.post("/clusters/east/collect/")  # still queued
    assert actions() == [("otto", "cluster.collect")]


def test_a_request_id_is_the_proxys_only_behind_one(client: Client, settings: Any) -> None:
    given = {"X-Request-ID": "proxy-0123456789", "X-Forwarded-For": "203.0.113.9, 192.0.2.1"}
    assert client.get("/healthz", headers=given)["X-Request-ID"] != "proxy-0123456789"
    settings.BEHIND_TLS = True
    assert client.get("/healthz", headers=given)["X-Request-ID"] == "proxy-0123456789"
    for odd in ("short", "x" * 65, "with blank 1234", 'quote"12345678'):
        assert client.get("/healthz", headers={"X-Request-ID": odd})["X-Request-ID"] != odd


def test_the_page_says_what_happened_from_where_and_what_changed(reader: Any, operator: User) -> None:
    audit(
        operator, "pool.save", "h100", "Two nodes more.", {"before": {"target": 99, "title": "H100"}, "after": {"target": 99.5}}
    )
    audit(None, "request.expire", "request 7 of ml")
    page = text_of(reader, "/audit/")
    assert "otto changed pool h100" in page
    assert "Two nodes more." in page
    assert "target 99 → 99.5" in page
    assert "title H100 → none" in page
    assert "recorded the expiry of request 7 of ml" in page
    assert "Pool: save" in page
    assert "1 entry" in text_of(reader, "/audit/?action=pool.save")
    assert "2 entries" in text_of(reader, "/audit/?via=command")
    assert "Action: Pool: save" in text_of(reader, "/audit/?action=pool.save")


def test_the_page_says_that_a_receiver_fails(reader: Any) -> None:
    stream = AuditStream.objects.create(sink="syslog", number=7)
    assert "Not sent" not in text_of(reader, "/audit/")
    tag = reader.get("/audit/", headers={"HX-Request": "true"})["ETag"]
    AuditStream.objects.filter(pk=stream.pk).update(failed_at=datetime.now(UTC), error="Connection refused")
    assert reader.get("/audit/", headers={"HX-Request": "true", "If-None-Match": tag}).status_code == 200
    assert "Connection refused The receiver has entries up to number 7" in text_of(reader, "/audit/")
