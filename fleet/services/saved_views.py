"""Keeping and dropping saved views."""

from __future__ import annotations

from django.db import transaction

from fleet.models import SavedView, User
from fleet.services.audit import audit


@transaction.atomic
def save(user: User, page: str, name: str, query: str) -> SavedView:
    """Keeps a view; one of the same name is replaced."""
    name = name[:60]
    before = SavedView.objects.select_for_update(of=("self",)).filter(user=user, page=page, name=name).first()
    view, _ = SavedView.objects.update_or_create(user=user, page=page, name=name, defaults={"query": query})
    detail = {"before": {"query": before.query} if before else None, "after": {"query": query}}
    audit(user, "saved_view.save", f"{page}: {name}", detail=detail)
    return view


@transaction.atomic
def delete(user: User, pk: int) -> None:
    """Drops a view, if it is this person's own."""
    view = SavedView.objects.filter(user=user, pk=pk).first()
    if view is not None:
        audit(user, "saved_view.delete", f"{view.page}: {view.name}", detail={"before": {"query": view.query}})
        view.delete()
