"""A key is replaced as SECURITY.md says: what the old one signed and encrypted stays readable, and then no longer needs it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from fleet.models import NotificationTarget, Role, User
from fleet.services import tokens
from fleet.services.notifications import targets
from fleet.services.notifications.secrets import UnreadableError

pytestmark = pytest.mark.django_db
OLD, NEW = "o" * 50, "n" * 50
ADDRESS = "https://hooks.example.com/services/x"


@pytest.fixture
def ada(settings: Any, monkeypatch: pytest.MonkeyPatch) -> User:
    monkeypatch.setattr("fleet.services.notifications.guard.check_host", lambda host, **_: None)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    return User.objects.create(username="ada", role=Role.ADMIN)


def test_the_rehearsal(settings: Any, ada: User, client: Client) -> None:
    targets.create(ada, name="Chat", kind="webhook", address=ADDRESS, secret="s" * 24)
    _, token = tokens.create(ada, ada, datetime.now(UTC))
    client.force_login(ada)
    assert client.get("/audit/").status_code == 200

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    assert client.get("/audit/").status_code == 200
    target = NotificationTarget.objects.get()
    assert targets.open_address(target) == (ADDRESS, "s" * 24)
    assert Client().get("/api/v1/audit/", headers={"Authorization": f"Bearer {token}"}).status_code == 200

    targets.update(ada, target, name="Chat", address=ADDRESS, secret="s" * 24)
    settings.SECRET_KEY_FALLBACKS = []
    assert targets.open_address(NotificationTarget.objects.get()) == (ADDRESS, "s" * 24)
    assert client.get("/audit/").status_code == 200, "the session was signed again on the way"
    assert Client().get("/api/v1/audit/", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_without_the_old_key_an_address_is_unreadable_and_reported(settings: Any, ada: User) -> None:
    targets.create(ada, name="Chat", kind="webhook", address=ADDRESS, secret="s" * 24)
    settings.SECRET_KEY = NEW
    with pytest.raises(UnreadableError):
        targets.open_address(NotificationTarget.objects.get())
