"""Lists as people like to see them."""

from __future__ import annotations

from typing import Any

from fleet.models import SavedView


def saved_views(user: Any, page: str) -> list[SavedView]:
    """This person's own views of a page, by name."""
    return list(SavedView.objects.filter(user=user, page=page))


def version(user: Any, page: str) -> str:
    """Changes when a view is saved, renamed or deleted."""
    return ",".join(f"{pk}" for pk in SavedView.objects.filter(user=user, page=page).values_list("pk", flat=True))
