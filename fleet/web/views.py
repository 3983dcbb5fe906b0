"""Saving and deleting a view of a list."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from fleet.services import saved_views
from fleet.web.people import person


@require_POST
def save_view(request: HttpRequest) -> HttpResponse:
    """POST name, query: keeps the list of nodes as it is shown now."""
    name, query = request.POST.get("name", "").strip(), request.POST.get("query", "")
    if name:
        saved_views.save(person(request), "nodes", name, query)
    return redirect(f"{reverse('nodes')}?{query}")


@require_POST
def delete_view(request: HttpRequest, pk: int) -> HttpResponse:
    saved_views.delete(person(request), pk)
    return redirect("nodes")
