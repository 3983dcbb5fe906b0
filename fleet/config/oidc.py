"""Reads the settings of single sign-on from the environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.core.exceptions import ImproperlyConfigured

from fleet.config import env
from fleet.domain.people.scopes import check_limits

_LIKE = "https://login.example.com/realms/company"
_LIMITS_LIKE = '{"ml-eu": ["cluster:prod-eu"], "platform": null}'
_ROLES = ("viewer", "developer", "operator", "admin")


@dataclass(frozen=True)
class Oidc:
    """One identity provider, and the roles of its groups."""

    issuer: str
    client_id: str
    name: str
    scopes: tuple[str, ...]
    groups_claim: str
    by_role: Mapping[str, tuple[str, ...]]
    default_role: str
    """Role of people in none of the groups; empty: they cannot sign in."""
    check_every: timedelta
    """Age of the provider's last answer after which a session is checked again."""
    keep_for: timedelta
    """How long a session outlives a provider that does not respond."""
    tokens_for: timedelta
    """How long an API token works after the provider last confirmed its user."""
    limits: Mapping[str, tuple[str, ...] | None] | None = None
    """Group to what its people are limited to, None for no limit; "*": people in none. None: groups decide no limits."""
    client_secret: str = field(repr=False, default="")
    provider_id: str = "sso"


def read() -> Oidc | None:
    """Returns the provider that OIDC_ISSUER names; None where none is set. Raises ImproperlyConfigured."""
    issuer = env.url("OIDC_ISSUER", "", ("https", "http"), like=_LIKE).rstrip("/")
    if not issuer:
        return None
    if issuer.startswith("http://") and not _is_loopback(urlsplit(issuer).hostname or ""):
        raise ImproperlyConfigured(
            f"OIDC_ISSUER must begin with https://: tokens would travel in the clear. Write it as {_LIKE}."
        )
    client_id = env.text("OIDC_CLIENT_ID")
    if not client_id:
        raise ImproperlyConfigured("OIDC_ISSUER is set, so OIDC_CLIENT_ID is needed: register Muster at the identity provider.")
    by_role = {role: env.words(f"OIDC_{role.upper()}_GROUPS") for role in _ROLES}
    default_role = env.choice("OIDC_DEFAULT_ROLE", "none", ("none", *_ROLES))
    if default_role == "none" and not any(by_role.values()):
        raise ImproperlyConfigured(
            "No user could sign in through OIDC_ISSUER: set groups in OIDC_VIEWER_GROUPS, OIDC_DEVELOPER_GROUPS, "
            "OIDC_OPERATOR_GROUPS or OIDC_ADMIN_GROUPS, or set OIDC_DEFAULT_ROLE."
        )
    return Oidc(
        issuer=issuer,
        client_id=client_id,
        client_secret=env.text("OIDC_CLIENT_SECRET"),
        name=env.text("OIDC_NAME", "single sign-on")[:60],
        scopes=("openid", *(scope for scope in env.words("OIDC_SCOPES", ("profile", "email")) if scope != "openid")),
        groups_claim=env.text("OIDC_GROUPS_CLAIM", "groups"),
        by_role=by_role,
        default_role="" if default_role == "none" else default_role,
        check_every=timedelta(minutes=env.integer("OIDC_CHECK_MINUTES", 15, at_least=1, at_most=1440)),
        keep_for=timedelta(minutes=env.integer("OIDC_KEEP_MINUTES", 60, at_least=0, at_most=1440)),
        tokens_for=timedelta(days=env.integer("OIDC_TOKEN_DAYS", 30, at_least=1, at_most=3650)),
        limits=_limits(),
    )


def _limits() -> dict[str, tuple[str, ...] | None] | None:
    """Returns OIDC_LIMITS; None where it is not set. A mistake stops the start: it must not lift a limit."""
    written = env.text("OIDC_LIMITS")
    if not written:
        return None
    try:
        rows = msgspec.json.decode(written, type=dict[str, list[str] | None])
    except msgspec.DecodeError as error:
        raise ImproperlyConfigured(f"OIDC_LIMITS is not a JSON object of lists: {error}. Write it as {_LIMITS_LIKE}.") from None
    for group, entries in rows.items():
        if problem := check_limits(entries or ()):
            raise ImproperlyConfigured(f"OIDC_LIMITS, group {group}: {problem}")
    return {group: None if entries is None else tuple(entries) for group, entries in rows.items()}


def providers(oidc: Oidc | None) -> dict[str, Any]:
    """Returns the provider as django-allauth's SOCIALACCOUNT_PROVIDERS."""
    if oidc is None:
        return {}
    app = {
        "provider_id": oidc.provider_id,
        "name": oidc.name,
        "client_id": oidc.client_id,
        "secret": oidc.client_secret,
        "settings": {"server_url": oidc.issuer, "oauth_pkce_enabled": True, "scope": list(oidc.scopes)},
    }
    return {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
