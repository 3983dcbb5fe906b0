"""The form of an access request, with a live preview of its outcome; saved as a draft or submitted."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from fleet.domain.access_requests.workflow import RequestedAccess
from fleet.domain.classes.workload import sized
from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.selectors import classes, declarations, memberships
from fleet.selectors.access_requests import access_requests as select
from fleet.selectors.access_requests.outlook import Outlook, outlook
from fleet.services import access_requests as service
from fleet.web.forms.typed import Refusal, typed
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import is_partial, render_page

if TYPE_CHECKING:
    from fleet.models import AccessRequest

FIELDS = ("class", "team", "namespace", "name", "image", "replicas", "gpus", "hours", "unit", "purpose")
UNITS = {"hours": 1, "days": 24}
_LONGEST_PURPOSE = 2000


def new(request: HttpRequest) -> HttpResponse:
    """GET: the form, or for htmx its state during typing. POST with `do` draft or submit.

    Context: classes ([ClassRow]), row (ClassRow of the chosen one, None), version, teams ([Team]), joining (Joining,
    None for who is in a team), team, fields (name → Typed),
    form (Refusal), outlook (Outlook, None without a class), sizes ([(slots, room)]), units, draft (the one that is edited),
    conflict, sent, now.
    """
    demand(request, "developer")
    return _form(request, None)


def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """The same form over a draft."""
    demand(request, "developer")
    row = select.get_request(person(request), pk)
    if row is None:
        raise Http404
    if row.state != "draft":
        messages.error(request, "Only a draft can be edited. Request another size or more time instead.")
        return redirect("request", pk=pk)
    return _form(request, row)


def _form(request: HttpRequest, draft: AccessRequest | None) -> HttpResponse:
    now = timezone.now()
    sent = request.method == "POST"
    given = request.POST if sent else request.GET
    fields = {name: given.get(name, "").strip() for name in FIELDS}
    fresh = not sent and not is_partial(request)
    if fresh and draft is not None:
        fields = _written(draft)
    form = _Form(request, fields, draft, now)
    if sent:
        answer = form.act(request.POST.get("do", "submit"))
        if answer is not None:
            return answer
    elif not fresh:
        # During typing, an empty field is not an error yet.
        form.errors = {field: text for field, text in form.errors.items() if fields.get(field)}
    else:
        form.errors = {}
    status = 409 if form.conflict else 400 if sent else 200
    return render_page(request, "requests/new.html", "requests/_form.html", form.context(), status=status)


def _written(draft: AccessRequest) -> dict[str, str]:
    days = draft.hours is not None and draft.hours % 24 == 0
    return {
        "class": draft.class_version.workload_class.slug,
        "team": draft.team.slug,
        "namespace": draft.namespace,
        "name": draft.name,
        "image": draft.image,
        "replicas": str(draft.replicas),
        "gpus": str(draft.gpus or ""),
        "hours": "" if draft.hours is None else str(draft.hours // 24 if days else draft.hours),
        "unit": "days" if days else "hours",
        "purpose": draft.purpose,
    }


class _Fields(TypedDict):
    """Choices of the form."""

    namespace: str
    name: str
    replicas: int
    gpus: int | None
    image: str
    hours: int | None
    purpose: str


class _Form:
    """Parses the typed fields into a request, with an error per field."""

    def __init__(self, request: HttpRequest, row: dict[str, str], draft: AccessRequest | None, now: datetime) -> None:
        self.request, self.typed, self.draft, self.now = request, row, draft, now
        self.errors: dict[str, str] = {}
        self.conflict = ""
        versions = declarations.newest_versions()
        self.rows = classes.class_rows(now)
        self.version = versions.get(row["class"])
        if self.version is None and draft is not None and draft.class_version.workload_class.slug == row["class"]:
            self.version = draft.class_version  # it was removed from the catalogue, and the draft keeps it
        if self.version is None:
            self.errors["class"] = f"Class {row['class']} not found." if row["class"] else "Choose a class."
        self.teams = list(select.teams_of(person(request)))
        by_slug = {team.slug: team for team in self.teams}
        self.team = by_slug.get(row["team"])
        if self.team is None and len(self.teams) == 1 and not row["team"]:
            self.team = self.teams[0]
        if self.team is None:
            self.errors["team"] = "Choose one of your teams."
        else:
            row["team"] = self.team.slug
            if row["namespace"] not in self.team.namespaces and len(self.team.namespaces) == 1:
                row["namespace"] = self.team.namespaces[0]
        row["replicas"] = row["replicas"] or ("1" if request.method == "GET" and "replicas" not in request.GET else "")
        row["unit"] = row["unit"] if row["unit"] in UNITS else "days"
        self.requested = self._ask()
        self.outlook: Outlook | None = None
        if self.version is not None:
            self.outlook = outlook(self.version, now, self.team, self.requested)
            for field, sentence in self.outlook.problems:
                self.errors.setdefault(field, sentence)

    def _ask(self) -> RequestedAccess:
        replicas = self._number("replicas")
        hours = self._number("hours") if self.typed["hours"] else None
        gpus = self._number("gpus") if self.typed["gpus"] else None
        if len(self.typed["purpose"]) > _LONGEST_PURPOSE:
            self.errors["purpose"] = f"Use at most {_LONGEST_PURPOSE:,} characters."
        return RequestedAccess(
            namespace=self.typed["namespace"],
            name=self.typed["name"],
            replicas=replicas or 0,
            image=self.typed["image"],
            hours=None if hours is None else hours * UNITS[self.typed["unit"]],
            gpus=gpus,
        )

    def _number(self, field: str) -> int | None:
        text = self.typed[field]
        if text.isascii() and text.isdecimal() and len(text) <= 9:
            return int(text)
        self.errors[field] = "Enter a whole number."
        return None

    def act(self, do: str) -> HttpResponse | None:
        """Saves the request as a draft or submits it; returns None and saves nothing on errors."""
        if self.errors or self.version is None or self.team is None:
            return None
        actor, requested = person(self.request), self.requested
        fields = _Fields(
            namespace=requested.namespace,
            name=requested.name,
            replicas=requested.replicas,
            gpus=requested.gpus,
            image=requested.image,
            hours=requested.hours,
            purpose=self.typed["purpose"],
        )
        try:
            if self.draft is None:
                row = service.draft(actor, self.team, self.version, now=self.now, **fields)
            else:
                row = service.edit(actor, self.draft.pk, self.now, team=self.team, class_version=self.version, **fields)
            if do != "draft":
                row = service.submit(actor, row.pk, self.now)
        except FieldError as error:
            self.errors |= dict(error.fields)
            return None
        except NotNow as error:
            self.conflict = str(error)
            return None
        except NotYours as error:
            raise PermissionDenied from error
        result = {"draft": "Saved as a draft.", "submitted": "Submitted for approval."}
        messages.success(self.request, result.get(row.state, "Approved automatically: within the team’s limits."))
        return redirect("request", pk=row.pk)

    def context(self) -> dict[str, object]:
        outlook = self.outlook
        sizes = []
        if outlook is not None and len(outlook.sizes) > 1:
            for gpus in outlook.sizes:
                live = (
                    outlook.room
                    if gpus == outlook.class_spec.gpus
                    else classes.live_room(sized(outlook.class_spec, gpus), self.now).headroom
                )
                sizes.append((gpus, live.replicas))
        return {
            "classes": self.rows,
            "row": next((row for row in self.rows if row.version == self.version), None),
            "version": self.version,
            "teams": self.teams,
            "joining": None if self.teams else memberships.joining(person(self.request)),
            "team": self.team,
            "fields": typed(self.typed, self.errors),
            "form": Refusal(self.errors),
            "sent": self.request.method == "POST",
            "conflict": self.conflict,
            "outlook": outlook,
            "sizes": sizes,
            "units": list(UNITS),
            "draft": self.draft,
            "now": self.now,
        }
