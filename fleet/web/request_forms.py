"""The form of a request: a class, a team, a size; what would come of it while somebody types; a draft, or submitted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from fleet.domain.asking import Ask, FieldError, NotNow, NotYours
from fleet.domain.classes.workload import sized
from fleet.selectors import classes, declarations
from fleet.selectors import requests as select
from fleet.selectors.request_outlook import Outlook, outlook
from fleet.services import requests as service
from fleet.web.people import demand, person
from fleet.web.render import is_partial, render_page
from fleet.web.typed import Refusal, typed

FIELDS = ("class", "team", "namespace", "name", "image", "replicas", "gpus", "hours", "unit", "purpose")
UNITS = {"hours": 1, "days": 24}
_LONGEST_PURPOSE = 2000


def new(request: HttpRequest) -> HttpResponse:
    """GET: the form, or for htmx what it has become while somebody types. POST with `do` draft or submit.

    Context: classes ([ClassRow]), row (ClassRow of the chosen one, None), version, teams ([Team]), team, fields (name → Typed),
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
        messages.error(request, "Only a draft can be edited. Ask for another size or more time instead.")
        return redirect("request", pk=pk)
    return _form(request, row)


def _form(request: HttpRequest, draft: Any) -> HttpResponse:
    now = timezone.now()
    sent = request.method == "POST"
    given = request.POST if sent else request.GET
    told = {name: given.get(name, "").strip() for name in FIELDS}
    fresh = not sent and not is_partial(request)
    if fresh and draft is not None:
        told = _written(draft)
    form = _Form(request, told, draft, now)
    if sent:
        answer = form.act(request.POST.get("do", "submit"))
        if answer is not None:
            return answer
    elif not fresh:
        # While somebody types, a field that is still empty is not wrong yet.
        form.errors = {field: text for field, text in form.errors.items() if told.get(field)}
    else:
        form.errors = {}
    status = 409 if form.conflict else 400 if sent else 200
    return render_page(request, "requests/new.html", "requests/_form.html", form.context(), status=status)


def _written(draft: Any) -> dict[str, str]:
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


class _Form:
    """What was typed, read as an ask; and what is wrong with it."""

    def __init__(self, request: HttpRequest, told: dict[str, str], draft: Any, now: datetime) -> None:
        self.request, self.told, self.draft, self.now = request, told, draft, now
        self.errors: dict[str, str] = {}
        self.conflict = ""
        versions = declarations.newest_versions()
        self.rows = classes.class_rows()
        self.version = versions.get(told["class"])
        if self.version is None and draft is not None and draft.class_version.workload_class.slug == told["class"]:
            self.version = draft.class_version  # it has left the catalogue, and the draft keeps it
        if self.version is None:
            self.errors["class"] = f"There is no class {told['class']}." if told["class"] else "Choose a class."
        self.teams = list(select.teams_of(person(request)))
        by_slug = {team.slug: team for team in self.teams}
        self.team = by_slug.get(told["team"])
        if self.team is None and len(self.teams) == 1 and not told["team"]:
            self.team = self.teams[0]
        if self.team is None:
            self.errors["team"] = "Choose one of your teams."
        else:
            told["team"] = self.team.slug
            if told["namespace"] not in self.team.namespaces and len(self.team.namespaces) == 1:
                told["namespace"] = self.team.namespaces[0]
        told["replicas"] = told["replicas"] or ("1" if request.method == "GET" and "replicas" not in request.GET else "")
        told["unit"] = told["unit"] if told["unit"] in UNITS else "days"
        self.ask = self._ask()
        self.outlook: Outlook | None = None
        if self.version is not None:
            self.outlook = outlook(self.version, now, self.team, self.ask)
            for field, sentence in self.outlook.problems:
                self.errors.setdefault(field, sentence)

    def _ask(self) -> Ask:
        replicas = self._number("replicas")
        hours = self._number("hours") if self.told["hours"] else None
        gpus = self._number("gpus") if self.told["gpus"] else None
        if len(self.told["purpose"]) > _LONGEST_PURPOSE:
            self.errors["purpose"] = f"Say it in at most {_LONGEST_PURPOSE:,} characters."
        return Ask(
            namespace=self.told["namespace"],
            name=self.told["name"],
            replicas=replicas or 0,
            image=self.told["image"],
            hours=None if hours is None else hours * UNITS[self.told["unit"]],
            gpus=gpus,
        )

    def _number(self, field: str) -> int | None:
        text = self.told[field]
        if text.isascii() and text.isdecimal() and len(text) <= 9:
            return int(text)
        self.errors[field] = "Write a whole number."
        return None

    def act(self, do: str) -> HttpResponse | None:
        """Keeps it as a draft, or submits it; None where something is wrong, and then nothing is kept."""
        if self.errors or self.version is None or self.team is None:
            return None
        actor, ask = person(self.request), self.ask
        told: Mapping[str, Any] = {
            "namespace": ask.namespace, "name": ask.name, "replicas": ask.replicas, "gpus": ask.gpus, "image": ask.image,
            "hours": ask.hours, "purpose": self.told["purpose"],
        }  # fmt: skip
        try:
            if self.draft is None:
                row = service.draft(actor, self.team, self.version, now=self.now, **told)
            else:
                row = service.edit(actor, self.draft.pk, self.now, team=self.team, class_version=self.version, **told)
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
        said = {"draft": "Saved as a draft.", "submitted": "Submitted: an operator decides."}
        messages.success(self.request, said.get(row.state, "Approved at once: it lies within the team’s limits."))
        return redirect("request", pk=row.pk)

    def context(self) -> dict[str, Any]:
        found = self.outlook
        sizes = []
        if found is not None and len(found.sizes) > 1:
            for gpus in found.sizes:
                live = found.room if gpus == found.promise.gpus else classes.live_room(sized(found.promise, gpus), self.now).found
                sizes.append((gpus, live.replicas))
        return {
            "classes": self.rows,
            "row": next((row for row in self.rows if row.version == self.version), None),
            "version": self.version,
            "teams": self.teams,
            "team": self.team,
            "fields": typed(self.told, self.errors),
            "form": Refusal(self.errors),
            "sent": self.request.method == "POST",
            "conflict": self.conflict,
            "outlook": found,
            "sizes": sizes,
            "units": list(UNITS),
            "draft": self.draft,
            "now": self.now,
        }
