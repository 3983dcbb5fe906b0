"""Teams: operators make and change them, leads see to their members, everybody sees their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain.asking import FieldError, NotNow, NotYours
from fleet.selectors import requests as select
from fleet.services import teams as service
from fleet.web.people import demand, person
from fleet.web.render import render_page
from fleet.web.typed import Refusal, typed

FIELDS = ("slug", "name", "namespaces", "max_replicas", "sso_group")


def team_list(request: HttpRequest) -> HttpResponse:
    """GET: one's own teams, every one for operators. POST (operators): makes one.

    Context: teams ([Team]), granted (team id → [ClassRequest]), operates, fields (name → Typed), form, now.
    """
    told = {name: request.POST.get(name, "").strip() for name in FIELDS}
    errors: dict[str, str] = {}
    if request.method == "POST":
        demand(request, "operator")
        try:
            team = _save(request, told["slug"], told, new=True)
        except FieldError as error:
            errors = dict(error.fields)
        else:
            messages.success(request, f"{team.name} is a team now. Add its members.")
            return redirect("team", slug=team.slug)

    def context() -> dict[str, Any]:
        teams = list(select.teams_of(person(request)))
        return {
            "teams": teams,
            "granted": select.granted_of([team.pk for team in teams]),
            "operates": person(request).may("operator"),
            "fields": typed(told, errors),
            "form": Refusal(errors),
            "now": timezone.now(),
        }

    return render_page(request, "teams/list.html", "teams/_list.html", context, status=400 if errors else 200)


def team_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """GET: one team. POST (operators): changes it.

    Context: team, requests ([ClassRequest], granted), operates, manages, fields (name → Typed), form, now.
    """
    team = _team(request, slug)
    errors: dict[str, str] = {}
    told = _written(team)
    if request.method == "POST":
        demand(request, "operator")
        told |= {name: request.POST.get(name, "").strip() for name in FIELDS if name != "slug"}
        try:
            _save(request, slug, told, new=False)
        except FieldError as error:
            errors = dict(error.fields)
        else:
            messages.success(request, "The team is changed.")
            return redirect("team", slug=slug)
    return _page(request, team, told, errors, "")


@require_POST
def set_member(request: HttpRequest, slug: str) -> HttpResponse:
    """POST user, lead: adds a member, or changes whether they lead."""
    team = _team(request, slug)
    demand(request, "developer")
    username = request.POST.get("user", "").strip()
    lead = request.POST.get("lead") == "on"
    user = select.get_user(username)

    def act() -> str:
        if user is None:
            raise FieldError("user", f"Nobody is called {username}." if username else "Write a user’s name.")
        service.set_member(person(request), team, user, lead=lead, now=timezone.now())
        return f"{username} {'leads' if lead else 'is a member of'} {team.name}."

    return _do(request, team, act, username)


@require_POST
def remove_member(request: HttpRequest, slug: str, username: str) -> HttpResponse:
    """Takes a member out."""
    team = _team(request, slug)
    demand(request, "developer")
    user = next((member.user for member in team.members.all() if member.user.get_username() == username), None)

    def act() -> str:
        if user is None:
            raise NotNow(f"{username} is not a member of {team.name}.")
        service.remove_member(person(request), team, user, timezone.now())
        return f"{username} is no longer a member."

    return _do(request, team, act, "")


def _do(request: HttpRequest, team: Any, act: Callable[[], str], typed: str) -> HttpResponse:
    if not service.manages(person(request), team):
        raise PermissionDenied
    try:
        messages.success(request, act())
    except FieldError as error:
        return _page(request, team, None, {error.field: str(error)}, typed)
    except NotNow as error:
        messages.error(request, str(error))
    except NotYours as error:
        raise PermissionDenied from error
    # Who took themselves out may see the team no longer.
    return redirect("team", slug=team.slug) if select.get_team(person(request), team.slug) else redirect("teams")


def _team(request: HttpRequest, slug: str) -> Any:
    team = select.get_team(person(request), slug)
    if team is None:
        raise Http404
    return team


def _save(request: HttpRequest, slug: str, told: dict[str, str], *, new: bool) -> Any:
    text = told["max_replicas"]
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise FieldError("max_replicas", "Write a whole number, or leave it empty.")
    namespaces = [word for word in re.split(r"[\s,]+", told["namespaces"]) if word]
    return service.save_team(
        person(request), slug, told["name"], namespaces, int(text) if text else None, told["sso_group"], timezone.now(), new=new
    )


def _written(team: Any) -> dict[str, str]:
    """A team as its form shows it."""
    return {
        "slug": team.slug,
        "name": team.name,
        "namespaces": ", ".join(team.namespaces),
        "max_replicas": "" if team.max_replicas is None else str(team.max_replicas),
        "sso_group": team.sso_group,
    }


def _page(request: HttpRequest, team: Any, told: dict[str, str] | None, errors: dict[str, str], member: str) -> HttpResponse:
    def context() -> dict[str, Any]:
        return {
            "team": team,
            "requests": select.granted_of([team.pk])[team.pk],
            "operates": person(request).may("operator"),
            "manages": service.manages(person(request), team),
            "fields": typed({**(told or _written(team)), "user": member}, errors),
            "form": Refusal({name: text for name, text in errors.items() if name != "user"}),
            "now": timezone.now(),
        }

    return render_page(request, "teams/detail.html", "teams/_detail.html", context, status=400 if errors else 200)
