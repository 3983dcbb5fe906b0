"""The sign-in form's limit on tries: per name, per address, and without telling who exists."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.cache import cache
from django.test import Client

from fleet.config.logs import WithoutSecrets
from fleet.models import Role, User
from fleet.services import sign_in, sign_in_tries
from tests.factories import NOON, a_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("held_time")]


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes its time
    at_moment(monkeypatch)
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def mia() -> User:
    user = a_user("mia")
    user.set_password("right")
    user.save()
    return user


def at_moment(monkeypatch: pytest.MonkeyPatch, **later: Any) -> None:
    monkeypatch.setattr("fleet.web.sign_in.pages.timezone.now", lambda: NOON + timedelta(**later))


def tried(name: str = "mia", password: str = "wrong", **headers: Any) -> Any:
    return Client().post("/sign-in/", {"username": name, "password": password}, **headers)


def test_after_ten_tries_even_the_right_password_waits(mia: User, monkeypatch: pytest.MonkeyPatch) -> None:
    at_moment(monkeypatch, seconds=61)
    for _ in range(10):
        answer = tried()
        assert (answer.status_code, "Wrong name or password" in answer.content.decode()) == (200, True)
    for name in ("mia", "MIA "):
        answer = tried(name, "right")
        assert (answer.status_code, answer["Retry-After"]) == (429, "239")
        page = answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")
        assert "Too many attempts. Try again in 4 min." in page
        assert "Wrong name or password" not in page
    assert tried("otto").status_code == 200, "another name from the same address"
    at_moment(monkeypatch, seconds=300)
    assert tried("mia", "right").status_code == 302


def test_an_unknown_name_gets_the_same_answer() -> None:
    assert [tried("nobody").status_code for _ in range(11)] == [200] * 10 + [429]


def test_a_known_name_cannot_be_locked_out_from_another_address(mia: User) -> None:
    assert [tried(REMOTE_ADDR="10.0.0.66").status_code for _ in range(11)][-1] == 429
    assert tried("mia", "right", REMOTE_ADDR="10.0.0.7").status_code == 302


def test_many_names_from_one_address_wait_too(mia: User) -> None:
    for number in range(sign_in_tries.MOST_OF_ADDRESS):
        assert tried(f"name{number}").status_code == 200
    assert tried("mia", "right").status_code == 429
    assert tried("mia", "right", REMOTE_ADDR="10.0.0.9").status_code == 302


def test_a_right_password_resets_the_count_of_its_name(mia: User) -> None:
    for _ in range(sign_in_tries.MOST_OF_ADDRESS + 1):
        assert tried("mia", "right").status_code == 302
    for _ in range(9):
        tried()
    assert tried("mia", "right").status_code == 302
    assert tried().status_code == 200


def test_the_proxys_word_counts_only_where_a_proxy_is_declared(settings: Any) -> None:
    def from_many(name: str) -> set[int]:
        result = range(sign_in_tries.MOST_OF_ADDRESS + 1)
        return {tried(f"{name}{item}", HTTP_X_FORWARDED_FOR=f"1.1.1.1, 10.0.0.{item}").status_code for item in result}

    settings.BEHIND_TLS = True
    settings.SECURE_SSL_REDIRECT = False
    assert from_many("a") == {200}
    settings.BEHIND_TLS = False
    assert from_many("b") == {200, 429}, "anyone can write such a header"


def test_the_secret_of_a_link_reaches_no_log_however_it_is_opened(settings: Any) -> None:
    """A chat's preview sends HEAD and GET; a second use is refused, which is logged."""
    user = a_user("mia", Role.VIEWER)
    path = urlsplit(sign_in.link_for(user, "http://testserver", NOON + timedelta(hours=1))).path
    secret = path.split("/")[2]
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(WithoutSecrets())
    logging.getLogger("django").addHandler(handler)
    try:
        assert [Client().head(path).status_code, Client().get(path).status_code] == [200, 200], "nothing is used up"
        assert Client().post(path).status_code == 302
        assert [Client().post(path).status_code, Client().put(path).status_code] == [410, 405]
        with_query = f"{path}?next={path}"
        Client().post(with_query)
        logging.getLogger("django.request").warning("Gone: %s", with_query)
    finally:
        logging.getLogger("django").removeHandler(handler)
    assert "Gone" in written.getvalue()
    assert secret not in written.getvalue()
    handlers = settings.LOGGING["handlers"].values()
    assert all("without_secrets" in each.get("filters", []) for each in handlers), "every handler has the filter"
