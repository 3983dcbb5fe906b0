"""Queries the identity provider: its endpoints, and its claims about a person. Every answer is bounded in size and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import jwt
import msgspec
import urllib3
from django.conf import settings
from django.core.cache import cache

from fleet.collectors.deadline import Deadline
from fleet.collectors.timed_responses import until, use_timed_responses

if TYPE_CHECKING:
    from fleet.config.oidc import Oidc

_TIMEOUT = urllib3.Timeout(connect=3, read=5)
_LONGEST = 1 << 20
_KEPT_S = 3600
_WHOLE_S = 10.0
"""For one answer, however many single waits it takes: a person waits for it."""
_POOL = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
use_timed_responses(_POOL)


class UnreachableProviderError(Exception):
    """The provider does not answer, or not as OpenID Connect requires."""


class RefusedByProviderError(Exception):
    """The provider no longer accepts the session: signed out there, disabled, or its tokens revoked."""


@dataclass(frozen=True)
class Tokens:
    """The provider's tokens of a session; stored encrypted."""

    subject: str
    id_token: str = ""
    access_token: str = ""
    refresh_token: str = ""


def provider() -> Oidc:
    """Returns the provider that the settings name. Raises LookupError where they name none."""
    if settings.OIDC is None:
        raise LookupError("OIDC_ISSUER is not set.")
    return settings.OIDC


def endpoints() -> dict[str, object]:
    """Returns the provider's discovery document, at most an hour old. Raises UnreachableProviderError."""
    issuer = provider().issuer
    key = f"oidc:{issuer}"
    document = cache.get(key)
    if not isinstance(document, dict):
        document = _read("GET", f"{issuer}/.well-known/openid-configuration")
        # OpenID Connect Discovery 4.3: else another provider's document could pass for this one's.
        if str(document.get("issuer", "")).rstrip("/") != issuer:
            raise UnreachableProviderError(f"The discovery document of {issuer} names another issuer.")
        for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
            if not str(document.get(name, "")).startswith(("https://", "http://")):
                raise UnreachableProviderError(f"The discovery document of {issuer} has no {name}.")
        cache.set(key, document, _KEPT_S)
    return document


def ask_again(tokens: Tokens) -> tuple[Mapping[str, object], Tokens]:
    """Returns the person's claims now, and the session's tokens after that.

    Raises RefusedByProviderError and UnreachableProviderError.
    """
    claims: dict[str, object] = {}
    if tokens.refresh_token:
        answer = _refresh(tokens.refresh_token)
        tokens = replace(
            tokens,
            access_token=str(answer.get("access_token", "")),
            refresh_token=str(answer.get("refresh_token") or tokens.refresh_token),
            id_token=str(answer.get("id_token") or tokens.id_token),
        )
        if answer.get("id_token"):  # some providers state groups nowhere else
            claims |= _decoded(tokens.id_token)
    bearer = {"Authorization": f"Bearer {tokens.access_token}"}
    claims |= _read("GET", str(endpoints()["userinfo_endpoint"]), headers=bearer)
    if str(claims.get("sub", "")) != tokens.subject:
        raise RefusedByProviderError("The provider answered for another person.")
    return claims, tokens


def sign_out_url(tokens: Tokens, back: str) -> str:
    """Returns where the provider ends its own session too (RP-initiated logout); empty where it has no such endpoint."""
    end = str(endpoints().get("end_session_endpoint") or "")
    if not end.startswith(("https://", "http://")):
        return ""
    query = {"post_logout_redirect_uri": back, "client_id": provider().client_id}
    if tokens.id_token:
        query["id_token_hint"] = tokens.id_token
    return f"{end}{'&' if '?' in end else '?'}{urlencode(query)}"


def _refresh(refresh_token: str) -> dict[str, object]:
    oidc, document = provider(), endpoints()
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if oidc.client_secret and isinstance(methods, list) and "client_secret_post" not in methods:
        headers |= urllib3.make_headers(basic_auth=f"{oidc.client_id}:{oidc.client_secret}")
    else:
        form |= {"client_id": oidc.client_id} | ({"client_secret": oidc.client_secret} if oidc.client_secret else {})
    return _read("POST", str(document["token_endpoint"]), headers=headers, body=urlencode(form))


def _decoded(id_token: str) -> dict[str, object]:
    """Claims of an ID token that came straight from the token endpoint over TLS (OpenID Connect Core 3.1.3.7)."""
    oidc = provider()
    try:
        claims: dict[str, object] = jwt.decode(
            id_token,
            options={"verify_signature": False, "verify_aud": True, "verify_iss": True, "verify_exp": True},
            audience=oidc.client_id,
            issuer=str(endpoints()["issuer"]),
            leeway=60,
        )
    except jwt.PyJWTError as error:
        raise RefusedByProviderError(f"The provider's ID token is not valid: {error}") from error
    return claims


def _read(method: str, url: str, headers: Mapping[str, str] | None = None, body: str | None = None) -> dict[str, object]:
    try:
        with until(Deadline(_WHOLE_S)):
            answer = _POOL.request(
                method,
                url,
                headers={"Accept": "application/json", **(headers or {})},
                body=body,
                preload_content=False,
                redirect=False,
            )
            try:
                content = answer.read(_LONGEST + 1)
            finally:
                answer.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise UnreachableProviderError(f"The identity provider does not respond: {type(error).__name__}") from error
    if answer.status in (400, 401, 403):
        raise RefusedByProviderError(f"The identity provider answered {answer.status}.")
    if answer.status != 200 or len(content) > _LONGEST:
        raise UnreachableProviderError(f"The identity provider answered {answer.status} with {len(content)} bytes.")
    try:
        return msgspec.json.decode(content, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise UnreachableProviderError("The identity provider did not answer with a JSON object.") from error
