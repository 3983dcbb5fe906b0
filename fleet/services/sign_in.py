"""Signing in without a default password: one-time links and API tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone

from fleet.models import ApiToken, Role, SignInLink, User

_LIFETIME = timedelta(hours=12)
OWNER = "owner"


def create_owner_link(base_url: str) -> str:
    """A link that signs the owner of this installation in, once, within twelve hours. Earlier links stop working."""
    owner, created = User.objects.get_or_create(username=OWNER, defaults={"role": Role.ADMIN})
    if created:
        owner.set_unusable_password()
        owner.save(update_fields=["password"])
    owner.sign_in_links.all().delete()
    secret = secrets.token_urlsafe(32)
    SignInLink.objects.create(user=owner, digest=_digest(secret), expires_at=timezone.now() + _LIFETIME)
    return base_url.rstrip("/") + reverse("sign-in-link", args=[secret])


def redeem_link(secret: str, now: datetime) -> User | None:
    """The user a link belongs to, if it was never used and is not too old. It cannot be used again."""
    taken = SignInLink.objects.filter(digest=_digest(secret), used_at__isnull=True, expires_at__gt=now)
    # One UPDATE decides: of two requests with the same link only one finds it unused.
    if not taken.update(used_at=now):
        return None
    user = User.objects.get(sign_in_links__digest=_digest(secret))
    return user if user.is_active else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def create_token(username: str, role: Role | None, lifetime: timedelta | None, name: str = "") -> tuple[ApiToken, str]:
    """A token for `username` (made if needed), and its secret, which is shown once and stored as a digest only.

    Without a role the token gets its user's. A role above the user's raises the user: whoever can run this owns the
    database anyway.
    """
    user, created = User.objects.get_or_create(username=username, defaults={"role": role or Role.VIEWER})
    if created:
        user.set_unusable_password()
    wanted = role or Role(user.role)
    if wanted.rank > Role(user.role).rank:
        user.role = wanted
    user.save()
    token, secret = ApiToken.objects.create(user=user, expiry=lifetime, role=wanted, name=name)
    return token, secret
