"""Creates and changes pools, with a preview of the selection during typing. Operators only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet import tasks
from fleet.domain.placement.nodes import MODES
from fleet.domain.pools.policy import PURPOSES
from fleet.domain.refusals import NotNow
from fleet.selectors import declarations
from fleet.selectors.nodes.ladder import rung_titles
from fleet.selectors.notifications import notifications as known
from fleet.selectors.pools import pools as select
from fleet.services import pools as service
from fleet.web.forms.pools import PoolForm, initial_of
from fleet.web.shell.people import demand, person

if TYPE_CHECKING:
    from django.http import QueryDict

    from fleet.models import Pool

MOST_NAMES = 12
"""Nodes named for one effect of a change; their number is always shown."""


def add(request: HttpRequest) -> HttpResponse:
    """GET, optionally with `from` (the slug of a suggestion), shows the form; POST creates the pool.

    Context: form, row (Pool or None), purposes, rungs ([(number, title)]), preview (pools.Preview or None), names.
    """
    demand(request, "operator")
    wanted = request.GET.get("from", "")
    offered = (
        next((suggestion for suggestion in select.suggestions(timezone.now()) if suggestion.pool.slug == wanted), None)
        if wanted
        else None
    )
    return _edit(request, None, initial_of(offered.pool) if offered else {})


def change(request: HttpRequest, slug: str) -> HttpResponse:
    """The form of a pool; one that a file declares has none. Context as of `add`."""
    demand(request, "operator")
    row = declarations.get_pool(slug)
    if row is None:
        raise Http404
    if row.managed_by:
        messages.error(request, f"{slug} is declared in {row.managed_by}: change it there and apply it.")
        return redirect("pool", slug=slug)
    return _edit(request, row, initial_of(declarations.pool_of(row)))


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """POST the form: returns what saving it would change. Context: form, preview (Preview or None), names."""
    demand(request, "operator")
    row = declarations.get_pool(request.POST.get("pool", ""))
    # The selection can be previewed before the pool has a name.
    form = _form(request.POST, row, {}, slug="" if request.POST.get("slug") else "new-pool")
    form.is_valid()
    return render(request, "pools/_preview.html", {"form": form, "fields": dict(LABELS), **_preview(form)})


LABELS = (
    ("slug", "Name"),
    ("labels", "Labels"),
    ("taints", "Taints"),
    ("tolerations", "Tolerations"),
    ("min_driver", "Oldest driver"),
    ("max_driver", "Newest driver"),
    ("availability_target", "Availability target"),
    ("min_ready", "Nodes that must be ready"),
    ("review_on", "Next review"),
)
"""Fields of the form that can have errors, with their labels."""


def _form(data: QueryDict | None, row: Pool | None, initial: Mapping[str, object], slug: str = "") -> PoolForm:
    form = PoolForm(data, initial=initial, slug=row.slug if row else slug)
    form.offer("clusters", known.cluster_names([]))
    form.offer("products", known.product_names([]))
    return form


def _edit(request: HttpRequest, row: Pool | None, initial: Mapping[str, object]) -> HttpResponse:
    form = _form(request.POST if request.method == "POST" else None, row, initial)
    if request.method == "POST" and form.is_valid() and form.spec is not None:
        spec = form.spec
        if row is None and declarations.get_pool(spec.slug) is not None:
            form.add_error("slug", f"Pool {spec.slug} already exists.")
        else:
            try:
                saved = service.save(person(request), spec, timezone.now())
            except NotNow as refused:
                form.add_error(None, str(refused))
            else:
                tasks.wake_compliance()
                messages.success(request, f"Pool {saved.slug} was {'changed' if row else 'created'}.")
                return redirect("pool", slug=saved.slug)
    context: dict[str, object] = {
        "form": form,
        "row": row,
        "purposes": PURPOSES,
        "modes": MODES,
        "rungs": rung_titles(),
        "fields": dict(LABELS),
    }
    if request.method == "POST":
        context |= _preview(form)
    return render(request, "pools/form.html", context, status=400 if form.errors else 200)


def _preview(form: PoolForm) -> dict[str, object]:
    spec = form.spec
    if spec is None:
        return {"preview": None}
    preview = select.preview_of(spec, timezone.now())
    effects = [
        ("joins", "Join", preview.joins),
        ("leaves", "Leave", preview.leaves),
        ("alone", "Would be in no pool", preview.alone),
        ("clashes", "Would be in two exclusive pools", tuple(clash.node for clash in preview.clashes)),
    ]
    return {
        "preview": preview,
        "effects": [
            {"id": name, "title": title, "count": len(keys), "nodes": keys[:MOST_NAMES], "more": max(0, len(keys) - MOST_NAMES)}
            for name, title, keys in effects
            if keys
        ],
        "members": preview.members[:MOST_NAMES],
        "more_members": max(0, len(preview.members) - MOST_NAMES),
        "rivals": sorted({slug for clash in preview.clashes for slug in clash.pools if slug != spec.slug}),
    }
