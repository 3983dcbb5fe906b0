"""API tokens: one's own on the account page, all of them for administrators."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.filters import TokenFilters
from fleet.selectors import people as select
from fleet.selectors.facets import facets
from fleet.services import tokens
from fleet.web.forms.tokens import lifetime_of, show_secret, token_form
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

PER_PAGE = 50
FACETS = ("status", "role", "user")


def token_list(request: HttpRequest) -> HttpResponse:
    """Every token, for administrators. Context: page (Page of ApiToken), total, facets, errors, filters_on, q, now."""
    demand(request, "admin")
    now, params = timezone.now(), request.GET
    rows = select.tokens(person(request), now)

    def context() -> dict[str, object]:
        filterset = TokenFilters(params, queryset=rows)
        valid = filterset.is_valid()
        paginator = Paginator(filterset.qs if valid else rows.none(), PER_PAGE)
        return {
            "page": paginator.get_page(params.get("page")),
            "total": paginator.count,
            "facets": facets(TokenFilters, FACETS, params if valid else QueryDict(), rows),
            "errors": [sentence for sentences in filterset.errors.values() for sentence in sentences],
            "filters_on": sum(1 for name, values in params.lists() if name != "page" and any(values)),
            "q": params.get("q", ""),
            "now": now,
        }

    return render_page(request, "tokens/list.html", "tokens/_list.html", context)


@require_POST
def create(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Creates a token for oneself, or for a service account, and shows its secret once."""
    actor, now = person(request), timezone.now()
    user = actor if pk is None else select.get_user(actor, pk)
    if user is None:
        raise Http404
    name, scopes, days = request.POST.get("name", ""), request.POST.getlist("scopes"), request.POST.get("days", "")
    clusters = request.POST.get("clusters", "")[:10_000]
    only = [part.strip() for part in clusters.split(",") if part.strip()] or None
    try:
        token, secret = tokens.create(actor, user, now, scopes=scopes, lifetime=lifetime_of(days), name=name, clusters=only)
    except FieldError as error:
        context = {
            "token_form": token_form(user, name, scopes, days, dict(error.fields), clusters),
            "subject": user,
            "back": _back(pk),
        }
        return render(request, "tokens/new.html", context, status=400)
    except (NotNow, NotYours) as error:
        messages.error(request, str(error))
        return redirect(_back(pk))
    return show_secret(request, token, secret, _back(pk))


@require_POST
def revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    """Revokes a token; its row stays."""
    try:
        token = tokens.revoke(person(request), public_id, timezone.now())
    except NotNow as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Token {token.token_key}… revoked.")
    return redirect(_came_from(request))


@require_POST
def rotate(request: HttpRequest, public_id: str) -> HttpResponse:
    """Replaces a token by a new one, whose secret is shown once."""
    try:
        token, secret = tokens.rotate(person(request), public_id, timezone.now())
    except (NotNow, NotYours) as error:
        messages.error(request, str(error))
        return redirect(_came_from(request))
    return show_secret(request, token, secret, _came_from(request))


def _back(pk: int | None) -> str:
    return reverse("account") if pk is None else reverse("user", args=[pk])


def _came_from(request: HttpRequest) -> str:
    user = request.POST.get("user", "")
    pk = int(user) if user.isascii() and user.isdecimal() and len(user) < 18 else None
    return reverse("tokens") if request.POST.get("from") == "tokens" else _back(pk)
