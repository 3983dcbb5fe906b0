"""Creates and changes workload classes. Operators only; a change creates a new version."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from fleet import tasks
from fleet.domain.classes.workload import ISOLATIONS
from fleet.domain.refusals import NotNow
from fleet.selectors import classes as select
from fleet.selectors import declarations
from fleet.services import classes as service
from fleet.web.forms.classes import ClassForm, initial_of
from fleet.web.shell.people import demand, person


def add(request: HttpRequest) -> HttpResponse:
    """GET, optionally with `from` (the slug of a starter), shows the form; POST creates the class.

    Context: form, row (ClassRow or None), pools (slugs), isolations ([(id, sentence)]).
    """
    demand(request, "operator")
    wanted = request.GET.get("from", "")
    offered = (
        next(
            (
                offered_starter
                for offered_starter in select.offered_starters(timezone.now())
                if offered_starter.class_spec.slug == wanted
            ),
            None,
        )
        if wanted
        else None
    )
    return _edit(request, None, initial_of(offered.class_spec) if offered else {})


def change(request: HttpRequest, slug: str) -> HttpResponse:
    """The form of a class; one that a file declares has none. Context as of `add`."""
    demand(request, "operator")
    row = select.get_row(slug, timezone.now())
    if row is None:
        raise Http404
    managed_by = row.version.workload_class.managed_by
    if managed_by:
        messages.error(request, f"{slug} is declared in {managed_by}: change it there and apply it.")
        return redirect("class", slug=slug)
    return _edit(request, row, initial_of(row.class_spec))


def _edit(request: HttpRequest, row: select.ClassRow | None, initial: dict[str, object]) -> HttpResponse:
    known = sorted(declarations.pools())
    slug = row.class_spec.slug if row else ""
    form = ClassForm(request.POST or None, initial=initial, slug=slug, known_pools=known)
    if request.method == "POST" and form.is_valid() and form.spec is not None:
        class_spec = form.spec
        if row is None and declarations.get_class(class_spec.slug) is not None:
            form.add_error("slug", f"Class {class_spec.slug} already exists.")
        else:
            try:
                saved = service.save(person(request), class_spec, timezone.now())
            except NotNow as refused:
                form.add_error(None, str(refused))
            else:
                tasks.wake_compliance()
                messages.success(request, f"Class {class_spec.slug} is saved as version {saved.number}.")
                return redirect("class", slug=class_spec.slug)
    context = {"form": form, "row": row, "pools": known, "isolations": list(ISOLATIONS.items())}
    return render(request, "classes/form.html", context, status=400 if form.errors else 200)
