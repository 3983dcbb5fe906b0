"""Signing in without a password: one-time links."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone

from fleet.models import Role, SignInLink, User

_LIFETIME = timedelta(hours=12)
OWNER = "owner"


def create_owner_link(base_url: str) -> str:
    """A link that signs the owner of this installation in, once, within twelve hours. Earlier links stop working."""
    owner, created = User.objects.get_or_create(username=OWNER, defaults={"role": Role.ADMIN})
    if created:
        owner.set_unusable_password()
        owner.save(update_fields=["password"])
    return link_for(owner, base_url, timezone.now() + _LIFETIME)


def link_for(user: User, base_url: str, expires_at: datetime) -> str:
    """Returns a link that signs `user` in once. Earlier links of the same user stop working."""
    user.sign_in_links.all().delete()
    secret = secrets.token_urlsafe(32)
    SignInLink.objects.create(user=user, digest=_digest(secret), expires_at=expires_at)
    return base_url.rstrip("/") + reverse("sign-in-link", args=[secret])


def redeem_link(secret: str, now: datetime) -> User | None:
    """The user a link belongs to, if it was never used and is not too old. It cannot be used again."""
    taken = SignInLink.objects.filter(digest=_digest(secret), used_at__isnull=True, expires_at__gt=now)
    # One UPDATE decides: of two requests with the same link only one finds it unused.
    if not taken.update(used_at=now):
        return None
    user = User.objects.get(sign_in_links__digest=_digest(secret))
    return user if user.is_active and not user.service else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
