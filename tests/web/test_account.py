"""One's own account: password, second factor, sessions, tokens, and the end of a session."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import hotp_value, yield_hotp_counters_from_time
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client

from fleet.models import ApiToken, AuditEntry, Role, User
from fleet.services.retention import drop_old
from tests.factories import a_user

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes its time
    cache.clear()


@pytest.fixture
def mia() -> User:
    user = a_user("mia", Role.OPERATOR)
    user.set_password(PASSWORD)
    user.save()
    return user


def signed_in(name: str = "mia", password: str = PASSWORD) -> Client:
    client = Client()
    client.post("/sign-in/", {"username": name, "password": password})
    return client


def works(client: Client) -> bool:
    return client.get("/clusters/").status_code == 200


def later(monkeypatch: pytest.MonkeyPatch, **delta: Any) -> None:
    moment = datetime.now(UTC) + timedelta(**delta)
    monkeypatch.setattr("fleet.web.sign_in.sessions.timezone.now", lambda: moment)


def code_of(secret: str) -> str:
    counter = next(iter(yield_hotp_counters_from_time()))
    return f"{hotp_value(secret, counter):06}"


def test_a_session_ends_without_use(mia: User, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.SESSION_IDLE = timedelta(hours=1)
    client = signed_in()
    later(monkeypatch, minutes=59)
    assert works(client)
    later(monkeypatch, minutes=118)
    assert works(client), "an hour from the last use, not from the sign-in"
    later(monkeypatch, minutes=179)
    assert not works(client)
    assert UserSession.objects.count() == 0
    assert AuditEntry.objects.filter(action="session.end", actor_name="mia", reason="Not used for too long").count() == 1


def test_pages_that_refresh_themselves_are_no_use(mia: User, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.SESSION_IDLE = timedelta(hours=1)
    client = signed_in()
    later(monkeypatch, minutes=50)
    assert client.get("/clusters/", headers={"HX-Request": "true"}).status_code == 200
    later(monkeypatch, minutes=61)
    assert not works(client)


def test_a_session_ends_at_the_latest_after_its_lifetime(mia: User, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.SESSION_IDLE, settings.SESSION_COOKIE_AGE = timedelta(days=30), 24 * 3600
    client = signed_in()
    later(monkeypatch, hours=23, minutes=59)
    assert works(client)
    later(monkeypatch, hours=24, minutes=1)
    assert not works(client)


def test_sessions_are_listed_and_ended(mia: User) -> None:
    current, other = signed_in(), signed_in()
    page = current.get("/account/").content.decode()
    assert "2 sessions" in page.replace("\N{NO-BREAK SPACE}", " ")
    row = UserSession.objects.exclude(session_key=current.session.session_key).get()
    assert current.post(f"/account/sessions/{row.pk}/end/").status_code == 302
    assert [works(current), works(other)] == [True, False]
    third = signed_in()
    current.post("/account/sessions/end-others/")
    assert [works(current), works(third)] == [True, False]


def test_users_cannot_end_sessions_of_others(mia: User) -> None:
    client = signed_in()
    eve = a_user("eve", Role.OPERATOR)
    stranger = Client()
    stranger.force_login(eve)
    stranger.post(f"/account/sessions/{UserSession.objects.get().pk}/end/")
    assert works(client)


def test_a_new_password_ends_the_other_sessions(mia: User) -> None:
    current, other = signed_in(), signed_in()
    for given, new, repeated, words in (
        ("wrong", "another good password", "another good password", "The current password is wrong"),
        (PASSWORD, "short", "short", "too short"),
        (PASSWORD, "another good password", "another good passwort", "The two passwords differ"),
    ):
        answer = current.post("/account/password/", {"current": given, "password": new, "repeated": repeated})
        assert (answer.status_code, words in answer.content.decode()) == (400, True)
    answer = current.post(
        "/account/password/", {"current": PASSWORD, "password": "another good password", "repeated": "another good password"}
    )
    assert answer.status_code == 302
    assert [works(current), works(other)] == [True, False]
    assert works(signed_in(password="another good password"))


def test_every_change_of_a_second_factor_and_each_wrong_code_is_on_record(
    mia: User, django_capture_on_commit_callbacks: Any
) -> None:
    client = signed_in()
    client.post(client.get("/account/second-factor/activate/")["Location"], {"password": PASSWORD})
    page = client.get("/account/second-factor/activate/").content.decode()
    key = re.search(r'<pre tabindex="0" aria-label="Key">([A-Z2-7]+)</pre>', page)
    assert key
    halfway = Client()
    steps = (
        (client, "/account/second-factor/activate/", {"code": code_of(key[1])}),
        (client, "/account/second-factor/codes/new/", {}),
        (halfway, "/sign-in/", {"username": "mia", "password": PASSWORD}),
        (halfway, "/sign-in/code/", {"code": "000000"}),
        (client, "/account/second-factor/deactivate/", {}),
    )
    for who, path, data in steps:
        with django_capture_on_commit_callbacks(execute=True):
            assert who.post(path, data).status_code in (200, 302), path
    rows = AuditEntry.objects.order_by("pk").values_list("action", "actor_name", "detail")
    kinds = {(action, name, str(detail.get("kind") or detail.get("method"))) for action, name, detail in rows}
    assert {
        ("user.second_factor_add", "mia", "totp"),
        ("user.second_factor_add", "mia", "recovery_codes"),
        ("user.second_factor_renew", "mia", "recovery_codes"),
        ("session.fail", "mia", "second factor"),
        ("user.second_factor_remove", "mia", "totp"),
    } <= kinds
    assert key[1] not in str(list(rows))


def test_the_second_factor_is_asked_for_and_each_recovery_code_works_once(mia: User) -> None:
    client = signed_in()
    confirm = client.get("/account/second-factor/activate/")
    assert confirm["Location"].startswith("/account/confirm/"), "the password first"
    client.post(confirm["Location"], {"password": PASSWORD})
    page = client.get("/account/second-factor/activate/").content.decode()
    found_key = re.search(r'<pre tabindex="0" aria-label="Key">([A-Z2-7]+)</pre>', page)
    assert found_key
    secret = found_key[1]
    assert client.post("/account/second-factor/activate/", {"code": "000000"}).status_code == 200
    answer = client.post("/account/second-factor/activate/", {"code": code_of(secret)})
    assert answer["Location"] == "/account/second-factor/codes/"
    codes = re.findall(r"^(?:.*>)?([0-9a-f]{8})(?:<.*)?$", client.get("/account/second-factor/codes/").content.decode(), re.M)
    assert len(codes) == 10
    assert codes[0] not in client.get("/account/second-factor/codes/").content.decode(), "shown once"
    assert secret not in str(Authenticator.objects.values_list("data", flat=True)), "stored encrypted"

    halfway = Client()
    led = halfway.post("/sign-in/", {"username": "mia", "password": PASSWORD})
    assert led["Location"] == "/sign-in/code/"
    assert not works(halfway)
    assert halfway.post("/sign-in/code/", {"code": "000000"}).status_code == 200
    assert not works(halfway)
    assert halfway.post("/sign-in/code/", {"code": codes[0]}).status_code == 302
    assert works(halfway)
    again = Client()
    again.post("/sign-in/", {"username": "mia", "password": PASSWORD})
    assert again.post("/sign-in/code/", {"code": codes[0]}).status_code == 200
    assert not works(again)


def test_codes_cannot_be_guessed_without_end(mia: User) -> None:
    Authenticator.objects.create(user=mia, type=Authenticator.Type.TOTP, data={"secret": "unused"})
    client = Client()
    client.post("/sign-in/", {"username": "mia", "password": PASSWORD})
    texts = [client.post("/sign-in/code/", {"code": f"{number:06}"}).content.decode() for number in range(8)]
    assert "Too many" in texts[-1]
    assert not works(client)


def test_a_token_is_made_shown_once_and_revoked(mia: User) -> None:
    client = signed_in()
    refused = client.post("/account/tokens/new/", {"name": "ci", "scopes": ["admin"], "days": "90"})
    assert (refused.status_code, "needs role admin" in refused.content.decode()) == (400, True)
    answer = client.post("/account/tokens/new/", {"name": "ci", "scopes": ["read"], "days": "90"})
    secret = re.search(r"muster_[0-9a-f]+", answer.content.decode())
    assert secret
    token = ApiToken.objects.get()
    assert (token.name, token.scopes, token.user) == ("ci", ["read"], mia)
    page = client.get("/account/").content.decode()
    assert token.token_key in page
    assert secret[0] not in page
    api = Client(headers={"Authorization": f"Bearer {secret[0]}"})
    assert api.get("/api/v1/nodes/").status_code == 200
    client.post(f"/tokens/{token.public_id}/revoke/")
    assert api.get("/api/v1/nodes/").status_code == 401
    assert "Revoked" in client.get("/account/").content.decode()
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {"token.create", "token.revoke"}


@pytest.mark.parametrize("days", ["", "-1", "x", "36501", "1" * 30])
def test_days_that_are_refused(mia: User, days: str) -> None:
    assert signed_in().post("/account/tokens/new/", {"scopes": ["read"], "days": days}).status_code == 400


def test_retention_forgets_sessions_that_are_over(mia: User) -> None:
    living, ended, gone = signed_in(), signed_in(), signed_in()
    Session.objects.filter(pk=ended.session.session_key).update(expire_date=datetime.now(UTC) - timedelta(seconds=1))
    Session.objects.filter(pk=gone.session.session_key).delete()
    assert drop_old(datetime.now(UTC))["sessions"] == 1
    assert [row.session_key for row in UserSession.objects.all()] == [living.session.session_key]
    assert works(living)
