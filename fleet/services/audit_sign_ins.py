"""Puts every sign-in, sign-out and change of a second factor on record, whichever way it is made: signals are sent for each."""

from __future__ import annotations

import hashlib
from typing import Any

from allauth.mfa import signals as second_factors
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.cache import cache
from django.http import HttpRequest

from fleet.models import User
from fleet.services.audit import audit, record
from fleet.services.sign_in_tries import WINDOW_S

_METHODS = {
    "sign-in": "password",
    "sign-in-link": "link",
    "sso-callback": "single sign-on",
    "mfa_authenticate": "second factor",
    "": "unknown",
}
"""URL name of the view → the way to sign in."""


def connect() -> None:
    """Connects the signals; called once per process."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_failed, dispatch_uid="audit")
    second_factors.authenticator_added.connect(_added, dispatch_uid="audit")
    second_factors.authenticator_removed.connect(_removed, dispatch_uid="audit")
    second_factors.authenticator_reset.connect(_renewed, dispatch_uid="audit")
    second_factors.authentication_failed.connect(_wrong_code, dispatch_uid="audit")


def record_locked(name: str, address: str) -> None:
    """Records that tries of a name were refused for being too many: once in a window, so that the log cannot be flooded."""
    key = hashlib.sha256(f"{name}\0{address}".encode("utf-8", "replace")).hexdigest()
    if cache.add(f"audit-locked:{key}", 1, WINDOW_S):
        record(None, name, "session.lock", "", detail={"seconds": WINDOW_S})


def record_refused(name: str, method: str, reason: str) -> None:
    """Records a sign-in that the identity provider or its groups did not allow."""
    record(None, name, "session.fail", "", reason=reason, detail={"method": method})


def _signed_in(sender: Any, request: HttpRequest | None, user: User, **_: Any) -> None:
    if _is_served(request):
        audit(user, "session.sign_in", "", detail={"method": _method(request)})


def _signed_out(sender: Any, request: HttpRequest | None, user: User | None, **_: Any) -> None:
    if user is not None and _is_served(request):
        audit(user, "session.sign_out", "")


def _failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    if _is_served(request):
        record(None, str(credentials.get("username") or ""), "session.fail", "", detail={"method": _method(request)})


def _added(sender: Any, user: User, authenticator: Any, **_: Any) -> None:
    audit(user, "user.second_factor_add", user.username, detail={"kind": str(authenticator.type)})


def _removed(sender: Any, user: User, authenticator: Any, **_: Any) -> None:
    audit(user, "user.second_factor_remove", user.username, detail={"kind": str(authenticator.type)})


def _renewed(sender: Any, user: User, authenticator: Any, **_: Any) -> None:
    audit(user, "user.second_factor_renew", user.username, detail={"kind": str(authenticator.type)})


def _wrong_code(sender: Any, user: User, **_: Any) -> None:
    record(None, user.username, "session.fail", "", detail={"method": "second factor"})


def _method(request: HttpRequest | None) -> str:
    """Returns the way of a sign-in from its view: password, link, or the name of the view."""
    match = request.resolver_match if request is not None else None
    name = (match.url_name if match is not None else "") or ""
    return _METHODS.get(name, name)


def _is_served(request: HttpRequest | None) -> bool:
    """Whether a request came over a connection: a session that code creates is not a sign-in."""
    return request is not None and "REMOTE_ADDR" in request.META
