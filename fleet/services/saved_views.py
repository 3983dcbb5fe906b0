"""Keeping and dropping saved views."""

from __future__ import annotations

from fleet.models import SavedView, User


def save(user: User, page: str, name: str, query: str) -> SavedView:
    """Keeps a view; one of the same name is replaced."""
    view, _ = SavedView.objects.update_or_create(user=user, page=page, name=name[:60], defaults={"query": query})
    return view


def delete(user: User, pk: int) -> None:
    """Drops a view, if it is this person's own."""
    SavedView.objects.filter(user=user, pk=pk).delete()
