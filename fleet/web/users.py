"""Accounts, for administrators: list, create, invite, change role, disable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain.refusals import FieldError, NotNow, Refused
from fleet.filters import UserFilters
from fleet.selectors import people as select
from fleet.selectors.facets import facets
from fleet.services import accounts, sessions
from fleet.web.forms.tokens import empty_token_form
from fleet.web.forms.typed import Refusal, typed
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

if TYPE_CHECKING:
    from fleet.models import User

PER_PAGE = 50
FACETS = ("role", "active", "sso", "service")


def user_list(request: HttpRequest) -> HttpResponse:
    """GET: accounts. POST: creates one, and shows its sign-in link.

    Context: page (Page of User), total, facets, errors, filters_on, q, fields (name → Typed), form, roles, role, service, now.
    """
    demand(request, "admin")
    now, params = timezone.now(), request.GET
    username, role = request.POST.get("username", ""), request.POST.get("role", "viewer")
    service = request.POST.get("service") == "on"
    wrong: dict[str, str] = {}
    if request.method == "POST":
        try:
            user = accounts.create(person(request), username, role, now, service=service)
        except FieldError as error:
            wrong = dict(error.fields)
        else:
            return redirect("user", pk=user.pk) if service else _show_link(request, user)
    rows = select.users(person(request)).order_by("username")

    def context() -> dict[str, object]:
        filterset = UserFilters(params, queryset=rows)
        valid = filterset.is_valid()
        paginator = Paginator(filterset.qs if valid else rows.none(), PER_PAGE)
        return {
            "page": paginator.get_page(params.get("page")),
            "total": paginator.count,
            "facets": facets(UserFilters, FACETS, params if valid else QueryDict(), rows),
            "errors": [sentence for sentences in filterset.errors.values() for sentence in sentences],
            "filters_on": sum(1 for name, values in params.lists() if name != "page" and any(values)),
            "q": params.get("q", ""),
            "fields": typed({"username": username, "role": role}, wrong),
            "form": Refusal(wrong),
            "roles": accounts.ROLES,
            "role": role,
            "service": service,
            "now": now,
        }

    return render_page(request, "users/list.html", "users/_list.html", context, status=400 if wrong else 200)


def user_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: one account. POST role, limits or active, reason: changes it.

    Context: account (User), teams, sessions, tokens, token_form, second_factor, roles, now.
    """
    demand(request, "admin")
    account, now = _account(request, pk), timezone.now()
    if request.method == "POST":
        active = {"on": True, "off": False}.get(request.POST.get("active", ""))
        try:
            role, reason = request.POST.get("role") or None, request.POST.get("reason", "")[:500]
            with transaction.atomic():
                if "limits" in request.POST:
                    accounts.limit(person(request), account.username, limits_in(request.POST["limits"]), now, reason)
                accounts.change(person(request), account.username, now, role=role, active=active, reason=reason)
        except Refused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{account.username} saved.")
        # Administrators who changed their own role may no longer see this page.
        person(request).refresh_from_db()
        is_admin = person(request).may("admin") and person(request).limits is None
        return redirect("user", pk=pk) if is_admin else redirect("fleet")
    context = {
        "account": account,
        "teams": select.teams_of(account),
        "sessions": select.own_sessions(account),
        "tokens": list(select.tokens(person(request), now).filter(user=account)),
        "token_form": empty_token_form(account),
        "second_factor": select.has_second_factor(account),
        "roles": accounts.ROLES,
        "now": now,
    }
    return render(request, "users/detail.html", context)


@require_POST
def invite(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows a new one-time sign-in link."""
    demand(request, "admin")
    return _show_link(request, _account(request, pk))


@require_POST
def end_sessions(request: HttpRequest, pk: int) -> HttpResponse:
    """Ends every session of an account."""
    demand(request, "admin")
    ended = sessions.end_for(person(request), _account(request, pk), timezone.now())
    messages.success(request, f"{ended} session{'' if ended == 1 else 's'} ended.")
    return redirect("user", pk=pk)


@require_POST
def reset_second_factor(request: HttpRequest, pk: int) -> HttpResponse:
    """Removes the second factor of an account after the loss of its device."""
    demand(request, "admin")
    account = _account(request, pk)
    accounts.reset_second_factor(person(request), account.username, timezone.now())
    messages.success(request, f"{account.username} signs in without a second factor now.")
    return redirect("user", pk=pk)


def limits_in(text: str) -> list[str] | None:
    """Returns the limits as they were typed, by comma or line; None for nothing typed."""
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()] or None


def _show_link(request: HttpRequest, account: User) -> HttpResponse:
    try:
        base = request.build_absolute_uri("/")
        link = accounts.invite(person(request), account.username, base, timezone.now())
    except NotNow as error:
        messages.error(request, str(error))
        return redirect("user", pk=account.pk)
    return render(request, "users/link.html", {"account": account, "link": link}, status=201)


def _account(request: HttpRequest, pk: int) -> User:
    account = select.get_user(person(request), pk)
    if account is None:
        raise Http404
    return account
