"""Making and changing a workload class. Operators only; a change makes a new version."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from fleet import tasks
from fleet.domain.asking import NotNow
from fleet.domain.classes.workload import ISOLATIONS
from fleet.selectors import classes as select
from fleet.selectors import declarations
from fleet.services import classes as service
from fleet.web.class_forms import ClassForm, initial_of
from fleet.web.people import demand, person


def add(request: HttpRequest) -> HttpResponse:
    """GET, optionally with `from` (the slug of a starter), shows the form; POST makes the class.

    Context: form, row (ClassRow or None), pools (slugs), isolations ([(id, sentence)]).
    """
    demand(request, "operator")
    wanted = request.GET.get("from", "")
    offered = (
        next((one for one in select.offered_starters(timezone.now()) if one.promise.slug == wanted), None) if wanted else None
    )
    return _edit(request, None, initial_of(offered.promise) if offered else {})


def change(request: HttpRequest, slug: str) -> HttpResponse:
    """The form of a class; one that a file declares has none. Context as of `add`."""
    demand(request, "operator")
    row = select.get_row(slug)
    if row is None:
        raise Http404
    managed_by = row.version.workload_class.managed_by
    if managed_by:
        messages.error(request, f"{slug} is declared in {managed_by}: change it there and apply it.")
        return redirect("class", slug=slug)
    return _edit(request, row, initial_of(row.promise))


def _edit(request: HttpRequest, row: select.ClassRow | None, initial: dict[str, Any]) -> HttpResponse:
    known = sorted(declarations.pools())
    slug = row.promise.slug if row else ""
    form = ClassForm(request.POST or None, initial=initial, slug=slug, known_pools=known)
    if request.method == "POST" and form.is_valid() and form.spec is not None:
        promise = form.spec
        if row is None and declarations.get_class(promise.slug) is not None:
            form.add_error("slug", f"There is a class {promise.slug} already.")
        else:
            try:
                saved = service.save(person(request), promise, timezone.now())
            except NotNow as refused:
                form.add_error(None, str(refused))
            else:
                tasks.wake_promises()
                messages.success(request, f"Class {promise.slug} is saved as version {saved.number}.")
                return redirect("class", slug=promise.slug)
    context = {"form": form, "row": row, "pools": known, "isolations": list(ISOLATIONS.items())}
    return render(request, "classes/form.html", context, status=400 if form.errors else 200)
