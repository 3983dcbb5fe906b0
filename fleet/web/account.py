"""One's own account: password, second factor, sessions and tokens."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fleet.domain.refusals import FieldError, NotNow
from fleet.selectors import people as select
from fleet.services import accounts, sessions
from fleet.web.forms.tokens import empty_token_form
from fleet.web.forms.typed import Refusal, typed
from fleet.web.shell.people import person


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """Shows the account of the person signed in.

    Context: teams, sessions, session_key, tokens ([ApiToken]), token_form, second_factor, has_password, idle_s, oldest_s,
    now.
    """
    user, now = person(request), timezone.now()
    context = {
        "teams": select.teams_of(user),
        "sessions": select.own_sessions(user),
        "session_key": request.session.session_key,
        "tokens": list(select.tokens(user, now).filter(user=user)),
        "token_form": empty_token_form(user),
        "second_factor": select.has_second_factor(user),
        "has_password": user.has_usable_password(),
        "idle_s": settings.SESSION_IDLE.total_seconds(),
        "oldest_s": settings.SESSION_COOKIE_AGE,
        "now": now,
    }
    return render(request, "account/detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    """Sets a password; a user who has one enters it first. Context: fields (name → Typed), form, has_password."""
    user = person(request)
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            if user.has_usable_password() and not user.check_password(request.POST.get("current", "")):
                raise FieldError("current", "The current password is wrong.")
            key = request.session.session_key or ""
            given, repeated = request.POST.get("password", ""), request.POST.get("repeated", "")
            accounts.set_password(user, given, repeated, timezone.now(), keep_session=key)
        except FieldError as error:
            errors = dict(error.fields)
        except NotNow as error:
            messages.error(request, str(error))
            return redirect("account")
        else:
            update_session_auth_hash(request, user)
            messages.success(request, "Password saved. Your other sessions have ended.")
            return redirect("account")
    context = {
        "fields": typed(dict.fromkeys(("current", "password", "repeated"), ""), errors),
        "form": Refusal(errors),
        "has_password": user.has_usable_password(),
    }
    return render(request, "account/password.html", context, status=400 if errors else 200)


@require_POST
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    """Ends one session of the user."""
    try:
        sessions.end_session(person(request), pk, timezone.now())
    except NotNow as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Session ended.")
    return redirect("account")


@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """Ends every other session of the user."""
    ended = sessions.end_others(person(request), request.session.session_key or "", timezone.now())
    messages.success(request, f"{ended} other session{'' if ended == 1 else 's'} ended.")
    return redirect("account")
