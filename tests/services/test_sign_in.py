from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet.models import Role, SignInLink, User
from fleet.services.sign_in import create_owner_link

pytestmark = pytest.mark.django_db


def path_of(link: str) -> str:
    return link.removeprefix("http://127.0.0.1:8000")


def test_a_link_signs_its_owner_in_once(client: Any) -> None:
    link = create_owner_link("http://127.0.0.1:8000")
    assert client.get(path_of(link)).status_code == 200, "a page with a button: a chat's preview cannot use the link up"
    assert "_auth_user_id" not in client.session
    first = client.post(path_of(link))
    assert (first.status_code, first.url) == (302, "/")
    assert User.objects.get(pk=client.session["_auth_user_id"]).role == Role.ADMIN
    client.logout()
    assert client.post(path_of(link)).status_code == 410


def test_a_new_link_replaces_the_old(client: Any) -> None:
    old = create_owner_link("http://127.0.0.1:8000")
    create_owner_link("http://127.0.0.1:8000")
    assert client.post(path_of(old)).status_code == 410


def test_an_old_link_is_refused(client: Any) -> None:
    link = create_owner_link("http://127.0.0.1:8000")
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.post(path_of(link)).status_code == 410


def test_the_owner_has_no_password() -> None:
    create_owner_link("http://127.0.0.1:8000")
    assert not User.objects.get().has_usable_password()


def test_the_secret_is_not_kept() -> None:
    secret = create_owner_link("http://127.0.0.1:8000").rstrip("/").split("/")[-1]
    assert all(secret not in map(str, row.values()) for row in SignInLink.objects.values())
