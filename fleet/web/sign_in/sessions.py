"""The life of a session: it ends when it is old or idle, and asks the identity provider again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from fleet.services import sessions, sso_sessions
from fleet.web.shell.people import person

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase

_NOTED_EVERY_S = 60
"""Precision of a person's last action: a session is not written at every request."""


class Sessions:
    """Middleware, after authentication: signs out users with an ended session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session = request.session
        if SESSION_KEY in session:
            now = timezone.now()
            key = session.session_key or ""
            reason = _over(session, now) or _refused(request, key, now)
            if reason:
                if request.user.is_authenticated:
                    sessions.expire(person(request), key, reason, now)
                session.flush()
                request.user = AnonymousUser()
            elif not is_refresh(request) and now.timestamp() - session.get("active_at", 0) >= _NOTED_EVERY_S:
                session["active_at"] = now.timestamp()
                sessions.touch(key, now)
        return self._get_response(request)


def is_refresh(request: HttpRequest) -> bool:
    """Returns whether a request is an automatic refresh: htmx names the page it is on, refresh.js does not."""
    return "HX-Request" in request.headers and "HX-Current-URL" not in request.headers


def _over(session: SessionBase, now: datetime) -> str:
    """Returns why a session has ended by its age; empty where it has not."""
    started = session.get("started_at")
    if started is None:  # from before sessions had an end
        session["started_at"] = session["active_at"] = now.timestamp()
        return ""
    if now.timestamp() - started >= settings.SESSION_COOKIE_AGE:
        return "Lifetime of a session"
    idle = now.timestamp() - session.get("active_at", started)
    return "Not used for too long" if idle >= settings.SESSION_IDLE.total_seconds() else ""


def _refused(request: HttpRequest, key: str, now: datetime) -> str:
    """Returns why the identity provider no longer confirms a session; empty where it does, or where none has to."""
    checked = request.session.get("sso_checked_at")
    if checked is None:
        return ""
    if settings.OIDC is None:
        return "Single sign-on was removed from the settings"
    if now.timestamp() - checked < settings.OIDC.check_every.total_seconds():
        return ""
    answer = sso_sessions.Confirmation.OVER
    if request.user.is_authenticated:
        answer = sso_sessions.confirm(key, person(request), now)
    if answer is sso_sessions.Confirmation.CONFIRMED:
        person(request).refresh_from_db()  # its role may be another now
        request.session["sso_checked_at"] = now.timestamp()
    return "Not confirmed by the identity provider" if answer is sso_sessions.Confirmation.OVER else ""


@receiver(user_logged_in)
def begin(request: HttpRequest | None, **_: Any) -> None:
    if request is not None:
        request.session["started_at"] = request.session["active_at"] = timezone.now().timestamp()
