"""Lists as people like to see them."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from fleet.models import SavedView


def saved_views(user: AbstractBaseUser | AnonymousUser, page: str) -> list[SavedView]:
    """The person's own views of a page, by name."""
    return list(SavedView.objects.filter(user_id=user.pk or 0, page=page))


def version(user: AbstractBaseUser | AnonymousUser, page: str) -> str:
    """Changes when a view is saved, renamed or deleted."""
    return ",".join(f"{pk}" for pk in SavedView.objects.filter(user_id=user.pk or 0, page=page).values_list("pk", flat=True))
