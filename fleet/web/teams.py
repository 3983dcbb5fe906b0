"""Teams: operators create and change them, leads manage their members, users see their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.selectors import memberships
from fleet.selectors.access_requests import access_requests as select
from fleet.services import membership_requests
from fleet.services import teams as service
from fleet.web.forms.typed import Refusal, typed
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

if TYPE_CHECKING:
    from fleet.models import Team

FIELDS = ("slug", "name", "namespaces", "max_replicas", "sso_group")


def team_list(request: HttpRequest) -> HttpResponse:
    """GET: one's own teams, every one for operators. POST (operators): creates one.

    Context: teams ([Team]), granted (team id → [AccessRequest]), joining (Joining, None for who is in one), operates,
    fields (name → Typed), form, now.
    """
    fields = {name: request.POST.get(name, "").strip() for name in FIELDS}
    errors: dict[str, str] = {}
    if request.method == "POST":
        demand(request, "operator")
        try:
            team = _save(request, fields["slug"], fields, new=True)
        except FieldError as error:
            errors = dict(error.fields)
        else:
            messages.success(request, f"{team.name} was created. Add its members.")
            return redirect("team", slug=team.slug)

    def context() -> dict[str, object]:
        teams = list(select.teams_of(person(request)))
        return {
            "teams": teams,
            "granted": select.granted_of([team.pk for team in teams]),
            "joining": None if teams else memberships.joining(person(request)),
            "operates": person(request).may("operator"),
            "fields": typed(fields, errors),
            "form": Refusal(errors),
            "now": timezone.now(),
        }

    return render_page(request, "teams/list.html", "teams/_list.html", context, status=400 if errors else 200)


def team_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """GET: one team. POST (operators): changes it.

    Context: team, requests ([AccessRequest], granted), operates, manages, asked ([MembershipRequest]), fields (name →
    Typed), form, now.
    """
    team = _team(request, slug)
    errors: dict[str, str] = {}
    written = _written(team)
    if request.method == "POST":
        demand(request, "operator")
        written |= {name: request.POST.get(name, "").strip() for name in FIELDS if name != "slug"}
        try:
            _save(request, slug, written, new=False)
        except FieldError as error:
            errors = dict(error.fields)
        else:
            messages.success(request, "Team saved.")
            return redirect("team", slug=slug)
    return _page(request, team, written, errors, "")


@require_POST
def join(request: HttpRequest, slug: str) -> HttpResponse:
    """POST reason: asks to become a member; a lead of the team or an operator decides."""
    demand(request, "developer")
    team = memberships.get_team(slug)
    if team is None:
        raise Http404
    try:
        membership_requests.ask(person(request), team, request.POST.get("reason", ""), timezone.now())
    except (FieldError, NotNow) as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"You asked to join {team.name}. A lead of the team or an operator decides.")
    return redirect("teams")


@require_POST
def decline_member(request: HttpRequest, slug: str) -> HttpResponse:
    """POST user: declines who asks to join."""
    team = _team(request, slug)
    demand(request, "developer")
    username = request.POST.get("user", "")
    user = next((row.user for row in memberships.asked_of(team) if row.user.get_username() == username), None)

    def act() -> str:
        if user is None:
            raise NotNow(f"{username} does not ask to join {team.name} any more.")
        membership_requests.decline(person(request), team, user, timezone.now())
        return f"{username} was declined."

    return _do(request, team, act, "")


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
            raise FieldError("user", f"User {username} not found." if username else "Enter a user name.")
        service.set_member(person(request), team, user, lead=lead, now=timezone.now())
        return f"{username} {'leads' if lead else 'is a member of'} {team.name}."

    return _do(request, team, act, username)


@require_POST
def remove_member(request: HttpRequest, slug: str) -> HttpResponse:
    """POST user: removes a member. The name is not part of the address: names of an identity provider may contain a slash."""
    team = _team(request, slug)
    username = request.POST.get("user", "")
    demand(request, "developer")
    user = next((member.user for member in team.members.all() if member.user.get_username() == username), None)

    def act() -> str:
        if user is None:
            raise NotNow(f"{username} is not a member of {team.name}.")
        service.remove_member(person(request), team, user, timezone.now())
        return f"{username} is no longer a member."

    return _do(request, team, act, "")


def _do(request: HttpRequest, team: Team, act: Callable[[], str], typed: str) -> HttpResponse:
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
    # Users who removed themselves may no longer see the team.
    return redirect("team", slug=team.slug) if select.get_team(person(request), team.slug) else redirect("teams")


def _team(request: HttpRequest, slug: str) -> Team:
    team = select.get_team(person(request), slug)
    if team is None:
        raise Http404
    return team


def _save(request: HttpRequest, slug: str, row: dict[str, str], *, new: bool) -> Team:
    text = row["max_replicas"]
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise FieldError("max_replicas", "Enter a whole number, or leave the field empty.")
    namespaces = [word for word in re.split(r"[\s,]+", row["namespaces"]) if word]
    return service.save_team(
        person(request), slug, row["name"], namespaces, int(text) if text else None, row["sso_group"], timezone.now(), new=new
    )


def _written(team: Team) -> dict[str, str]:
    """A team as its form shows it."""
    return {
        "slug": team.slug,
        "name": team.name,
        "namespaces": ", ".join(team.namespaces),
        "max_replicas": "" if team.max_replicas is None else str(team.max_replicas),
        "sso_group": team.sso_group,
    }


def _page(request: HttpRequest, team: Team, row: dict[str, str] | None, errors: dict[str, str], member: str) -> HttpResponse:
    def context() -> dict[str, object]:
        return {
            "team": team,
            "requests": select.granted_of([team.pk])[team.pk],
            "operates": person(request).may("operator"),
            "manages": (manages := service.manages(person(request), team)),
            "asked": memberships.asked_of(team) if manages else [],
            "fields": typed({**(row or _written(team)), "user": member}, errors),
            "form": Refusal({name: text for name, text in errors.items() if name != "user"}),
            "now": timezone.now(),
        }

    return render_page(request, "teams/detail.html", "teams/_detail.html", context, status=400 if errors else 200)
