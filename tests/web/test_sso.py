"""Single sign-on against a real OpenID provider: groups, first sign-in, loss of a group, attacks on the way back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from fleet.config.oidc import Oidc, providers
from fleet.domain.refusals import NotNow
from fleet.models import AuditEntry, Role, TeamMember, User
from fleet.services import accounts, tokens
from tests.factories import a_cluster, a_node, a_team, a_user
from tests.oidc_provider import Provider, provider

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with provider() as idp:
        yield idp


def oidc(url: str, **more: Any) -> Oidc:
    fields: dict[str, Any] = {
        "issuer": url,
        "client_id": "muster",
        "client_secret": "shared",
        "name": "Example ID",
        "scopes": ("openid", "profile", "email"),
        "groups_claim": "groups",
        "by_role": {"developer": ("devs",), "operator": ("ops",), "admin": ("admins",)},
        "default_role": "",
        "check_every": timedelta(minutes=15),
        "keep_for": timedelta(minutes=60),
        "tokens_for": timedelta(days=30),
    }
    return Oidc(**{**fields, **more})


@pytest.fixture
def idp(running: Provider, settings: Any) -> Provider:
    settings.OIDC = oidc(running.url)
    settings.SOCIALACCOUNT_PROVIDERS = providers(settings.OIDC)
    cache.clear()
    return running


def way_back(client: Client, idp: Provider, subject: str, path: str = "/sign-in/sso/") -> str:
    leads_to = client.get(path)
    assert leads_to.status_code == 302, leads_to.content
    back = urlsplit(idp.consent(leads_to["Location"], subject))
    return f"{back.path}?{back.query}"


def sign_in(client: Client, idp: Provider, subject: str, path: str = "/sign-in/sso/") -> Any:
    return client.get(way_back(client, idp, subject, path))


def later(monkeypatch: pytest.MonkeyPatch, **delta: Any) -> None:
    moment = datetime.now(UTC) + timedelta(**delta)
    monkeypatch.setattr("fleet.web.sign_in.sessions.timezone.now", lambda: moment)


def test_the_first_sign_in_makes_a_user_with_role_and_team_of_their_groups(client: Client, idp: Provider) -> None:
    a_team("research", sso_group="gpu-research")
    a_team("vision", sso_group="gpu-vision")
    idp.put("mia", groups=["devs", "/ops", "gpu-research"], given_name="Mia")
    answer = sign_in(client, idp, "mia", "/sign-in/sso/?next=/nodes/")
    assert (answer.status_code, answer["Location"]) == (302, "/nodes/")
    mia = User.objects.get(username="mia")
    assert (mia.role, mia.sso, mia.first_name, mia.has_usable_password()) == (Role.OPERATOR, True, "Mia", False)
    assert [member.team.slug for member in TeamMember.objects.filter(user=mia)] == ["research"]
    assert client.get("/nodes/").status_code == 200
    assert not mia.may(Role.ADMIN)


def test_the_way_there_carries_a_challenge_and_a_state(client: Client, idp: Provider) -> None:
    query = parse_qs(urlsplit(client.get("/sign-in/sso/")["Location"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["http://testserver/sign-in/sso/callback/"]
    assert {"state", "code_challenge"} <= set(query)


def test_a_removed_group_takes_the_role_away_at_the_next_sign_in(client: Client, idp: Provider) -> None:
    idp.put("mia", groups=["admins"])
    sign_in(client, idp, "mia")
    idp.put("mia", groups=["devs"])
    sign_in(Client(), idp, "mia")
    assert User.objects.get(username="mia").role == Role.DEVELOPER
    entry = AuditEntry.objects.get(action="user.change")
    assert (entry.detail["before"]["role"], entry.detail["after"]["role"]) == ("admin", "developer")


def test_a_removed_group_takes_role_and_team_away_at_the_sessions_refresh(
    client: Client, idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_team("research", sso_group="gpu-research")
    idp.put("mia", groups=["ops", "gpu-research"])
    sign_in(client, idp, "mia")
    idp.put("mia", groups=["devs"])
    assert client.get("/audit/").status_code == 200, "the provider's last answer is recent enough"
    later(monkeypatch, minutes=15)
    assert client.get("/audit/").status_code == 403
    mia = User.objects.get(username="mia")
    assert (mia.role, TeamMember.objects.filter(user=mia).count()) == (Role.DEVELOPER, 0)
    assert client.get("/nodes/").status_code == 200, "the session goes on with the lower role"


def test_limits_follow_the_groups_at_sign_in_and_at_the_sessions_refresh(
    client: Client, idp: Provider, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OIDC = oidc(idp.url, limits={"eu": ("cluster:eu",), "ml": ("namespace:ml",), "ops": None, "*": ()})
    a_node("eu-1", a_cluster("eu"))
    a_node("us-1", a_cluster("us"))
    idp.put("mia", groups=["devs", "eu"])
    sign_in(client, idp, "mia")
    assert [row["name"] for row in client.get("/api/v1/nodes/").json()["results"]] == ["eu-1"]
    entry = AuditEntry.objects.get(action="user.limit")
    assert entry.detail == {"before": {"limits": None}, "after": {"limits": ["cluster:eu"]}}
    with pytest.raises(NotNow, match="OIDC_LIMITS"):
        accounts.limit(None, "mia", None, timezone.now())

    idp.put("mia", groups=["devs"])
    later(monkeypatch, minutes=15)
    assert client.get("/api/v1/nodes/").json()["results"] == [], "in none of the groups that see something"
    idp.put("mia", groups=["devs", "eu", "ops"])
    later(monkeypatch, minutes=30)
    assert len(client.get("/api/v1/nodes/").json()["results"]) == 2, "one group without a limit lifts it"


def test_where_groups_decide_no_limits_those_set_manually_stay(client: Client, idp: Provider) -> None:
    a_cluster("eu")
    idp.put("mia", groups=["devs"])
    sign_in(client, idp, "mia")
    a_user("chief", Role.ADMIN)
    accounts.limit(None, "mia", ["cluster:eu"], timezone.now())
    sign_in(Client(), idp, "mia")
    assert User.objects.get(username="mia").limits == ["cluster:eu"]


def test_without_any_group_sessions_end_and_tokens_stop(client: Client, idp: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    idp.put("mia", groups=["ops"])
    sign_in(client, idp, "mia")
    mia = User.objects.get(username="mia")
    _, secret = tokens.create(mia, mia, timezone.now())
    bearer = {"Authorization": f"Bearer {secret}"}
    assert Client().get("/api/v1/nodes/", headers=bearer).status_code == 200
    idp.put("mia", groups=[])
    later(monkeypatch, minutes=15)
    assert client.get("/nodes/").status_code == 302
    assert Client().get("/api/v1/nodes/", headers=bearer).status_code == 401
    assert UserSession.objects.count() == 0
    refused = sign_in(Client(), idp, "mia")
    assert (refused.status_code, b"No access" in refused.content) == (403, True)
    idp.put("mia", groups=["devs"])
    assert sign_in(Client(), idp, "mia").status_code == 302, "a group switches the account on again"


def test_tokens_stop_where_their_person_did_not_sign_in_for_long(client: Client, idp: Provider) -> None:
    idp.put("mia", groups=["ops"])
    sign_in(client, idp, "mia")
    mia = User.objects.get(username="mia")
    _, secret = tokens.create(mia, mia, timezone.now())
    for days, status in ((29, 200), (30, 401)):
        User.objects.update(sso_checked_at=timezone.now() - timedelta(days=days))
        assert Client().get("/api/v1/nodes/", headers={"Authorization": f"Bearer {secret}"}).status_code == status


def test_who_was_switched_off_here_stays_so_whatever_their_groups(client: Client, idp: Provider) -> None:
    idp.put("mia", groups=["admins"])
    sign_in(client, idp, "mia")
    User.objects.update(is_active=False)
    assert sign_in(Client(), idp, "mia").status_code == 403
    assert not User.objects.get().is_active


def test_no_group_means_no_account(client: Client, idp: Provider) -> None:
    idp.put("eve", groups=["other"])
    assert sign_in(client, idp, "eve").status_code == 403
    assert not User.objects.exists()


def test_a_known_name_at_the_provider_is_not_the_local_account(client: Client, idp: Provider) -> None:
    a_user("owner", Role.ADMIN)
    idp.put("eve", preferred_username="owner", groups=["devs"])
    sign_in(client, idp, "eve")
    assert {user.username: user.role for user in User.objects.all()} == {"owner": Role.ADMIN, "owner-2": Role.DEVELOPER}


def test_revoked_tokens_end_the_session(client: Client, idp: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    idp.put("mia", groups=["ops"])
    sign_in(client, idp, "mia")
    idp.revoke("mia")
    later(monkeypatch, minutes=15)
    assert client.get("/nodes/").status_code == 302
    assert User.objects.get().is_active, "the account stays: only its session is over"


def test_a_provider_that_does_not_respond_is_waited_for_an_hour(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with provider() as idp:
        settings.OIDC = oidc(idp.url)
        settings.SOCIALACCOUNT_PROVIDERS = providers(settings.OIDC)
        cache.clear()
        idp.put("mia", groups=["ops"])
        sign_in(client, idp, "mia")
    later(monkeypatch, minutes=15)
    assert client.get("/nodes/").status_code == 200
    later(monkeypatch, minutes=74)
    assert client.get("/nodes/").status_code == 200
    later(monkeypatch, minutes=76)
    assert client.get("/nodes/").status_code == 302
    cache.clear()
    assert b"Sign-in failed" in Client().get("/sign-in/sso/").content


def test_signing_out_leads_to_the_provider_and_back(client: Client, idp: Provider) -> None:
    idp.put("mia", groups=["ops"])
    sign_in(client, idp, "mia")
    page = client.post("/sign-out/").content.decode()
    assert f'content="0; url={idp.url}/oauth2/end_session?post_logout_redirect_uri=http%3A%2F%2Ftestserver%2Fsign-in%2F' in page
    assert "id_token_hint=" in page
    assert client.get("/nodes/").status_code == 302
    assert UserSession.objects.count() == 0


def test_an_answer_for_another_browser_or_twice_is_refused(client: Client, idp: Provider) -> None:
    idp.put("mia", groups=["ops"])
    back = way_back(client, idp, "mia")
    assert Client().get(back).status_code == 401, "the state belongs to the browser that began"
    assert client.get(back).status_code == 302
    assert client.get(back).status_code == 401, "a code is good once"
    assert client.get("/sign-in/sso/callback/?code=x&state=y").status_code == 401


def test_tokens_of_the_provider_are_stored_encrypted(client: Client, idp: Provider) -> None:
    idp.put("mia", groups=["ops"])
    sign_in(client, idp, "mia")
    stored = str(UserSession.objects.get().data)
    assert "access_token" not in stored
    assert "eyJ" not in stored, "the beginning of every ID token"


def test_without_a_provider_there_is_no_such_page(client: Client) -> None:
    assert client.get("/sign-in/sso/").status_code == 404
    assert client.get("/sign-in/sso/callback/").status_code == 404
