"""Accounts of people and machines: created, given a role, disabled, invited. Administrators only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.password_validation import password_changed, validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from fleet.domain.people.scopes import check_limits, named, namespace_of
from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.models import Cluster, Pool, Role, User, scope, scope_views
from fleet.services import sessions, sign_in
from fleet.services.audit import audit

LONGEST_NAME = 150
ROLES = tuple(Role.choices)
INVITED_FOR = timedelta(days=3)
_NAME = re.compile(r"[A-Za-z0-9][\w.@+-]{0,149}", re.ASCII)


def free_username(wanted: str) -> str:
    """Returns a free name: `wanted` in the characters names may have, with a number appended where it is taken."""
    base = re.sub(r"[^\w.@+-]", "-", wanted.strip(), flags=re.ASCII)[:140].lstrip("-._@+") or "user"
    taken = {name.casefold() for name in User.objects.filter(username__istartswith=base).values_list("username", flat=True)}
    number, name = 1, base
    while name.casefold() in taken:
        number += 1
        name = f"{base}-{number}"
    return name


@transaction.atomic
def create(actor: User | None, username: str, role: str, now: datetime, *, service: bool = False) -> User:
    """Creates an account without a password. Without an actor it was the command line. Raises FieldError and NotYours."""
    _must_administer(actor)
    username = username.strip()
    if not _NAME.fullmatch(username):
        raise FieldError("username", "Use 1 to 150 letters, digits and . _ @ + -, beginning with a letter or a digit.")
    if User.objects.filter(username__iexact=username).exists():
        raise FieldError("username", f"User {username} already exists.")
    user = User(username=username, role=role_of(role), service=service)
    user.set_unusable_password()
    user.save()
    audit(actor, "user.create", username, detail={"after": {"role": user.role, "service": service}}, at=now)
    return user


@transaction.atomic
def change(
    actor: User | None, username: str, now: datetime, *, role: str | None = None, active: bool | None = None, reason: str = ""
) -> User:
    """Changes role or access of an account. Disabling it ends its sessions and stops its tokens.

    Raises FieldError, NotNow and NotYours.
    """
    _must_administer(actor)
    user = _locked(username)
    before = {"role": user.role, "active": user.is_active}
    if role is not None and role != user.role:
        if user.sso:
            raise NotNow(f"The role of {username} comes from groups of the identity provider. Change the groups there.")
        user.role = role_of(role)
    if active is not None:
        if active and user.sso_refused:
            raise NotNow(f"{username} is in no group of the identity provider that gives access. Change the groups there.")
        user.is_active = active
    after = {"role": user.role, "active": user.is_active}
    if before == after:
        return user
    user.save(update_fields=["role", "is_active"])
    if not User.objects.filter(role=Role.ADMIN, is_active=True, service=False, limits__isnull=True).exists():
        raise NotNow(f"{username} is the last administrator. Make another user an administrator first.")
    audit(actor, "user.change", username, reason, {"before": before, "after": after}, now)
    if not user.is_active:
        sessions.end_all(user)
    return user


@transaction.atomic
def limit(actor: User | None, username: str, limits: Sequence[str] | None, now: datetime, reason: str = "") -> User:
    """Limits what an account sees to entries as check_limits reads them; None: no limit. Raises FieldError, NotNow, NotYours."""
    _must_administer(actor)
    user = _locked(username)
    if user.sso and limits_come_from_groups():
        raise NotNow(f"The limit of {username} comes from groups of the identity provider: see OIDC_LIMITS.")
    before, user.limits = user.limits, None if limits is None else sorted({limit.strip() for limit in limits})
    if user.limits is not None:
        if problem := check_limits(user.limits) or _unknown(user.limits):
            raise FieldError("limits", problem)
        if not scope_views.are_there():
            raise NotNow("The database's user may not create a schema, so no account can be limited: see docs/access.md.")
    if before == user.limits:
        return user
    user.save(update_fields=["limits"])
    _one_administrator_stays(username)
    audit(actor, "user.limit", username, reason, {"before": {"limits": before}, "after": {"limits": user.limits}}, now)
    return user


def limits_come_from_groups() -> bool:
    """Whether groups of the identity provider decide the limits of people who sign in through it."""
    return settings.OIDC is not None and settings.OIDC.limits is not None


def _unknown(limits: Sequence[str]) -> str:
    """Returns the entry that names nothing that exists: a typo must not leave an account with nothing to see."""
    clusters, pools = named(limits, "cluster"), named(limits, "pool")
    clusters |= {cluster for cluster, _ in map(namespace_of, named(limits, "namespace")) if cluster}
    missing = clusters - set(Cluster.objects.filter(name__in=clusters).values_list("name", flat=True))
    if missing:
        return f"Cluster {min(missing)[:80]} not found."
    missing = pools - set(Pool.objects.filter(slug__in=pools, removed_at__isnull=True).values_list("slug", flat=True))
    return f"Pool {min(missing)[:80]} not found." if missing else ""


def _one_administrator_stays(username: str) -> None:
    rows = User.objects.filter(role=Role.ADMIN, is_active=True, service=False, limits__isnull=True)
    if not rows.exists():
        raise NotNow(f"{username} is the last administrator without a limit. Make another user an administrator first.")


@transaction.atomic
def invite(actor: User | None, username: str, base_url: str, now: datetime) -> str:
    """Returns a link that signs an account in once, within three days. Earlier links of it stop working."""
    _must_administer(actor)
    user = _locked(username)
    if user.service:
        raise NotNow(f"{username} is a service account: it has tokens, and does not sign in.")
    if not user.is_active:
        raise NotNow(f"{username} is switched off.")
    if user.sso:
        raise NotNow(f"{username} signs in through the identity provider.")
    audit(actor, "user.invite", username, at=now)
    return sign_in.link_for(user, base_url, now + INVITED_FOR)


@transaction.atomic
def set_password(user: User, password: str, repeated: str, now: datetime, *, keep_session: str = "") -> None:
    """Gives an account a password that meets the rules, and ends its other sessions. Raises FieldError and NotNow."""
    if user.sso or user.service:
        raise NotNow("This account has no password here.")
    if password != repeated:
        raise FieldError("repeated", "The two passwords differ.")
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise FieldError("password", " ".join(error.messages)) from error
    user.set_password(password)
    user.save(update_fields=["password"])
    password_changed(password, user)
    sessions.end_all(user, keep_session)
    audit(user, "user.password", user.username, at=now)


@transaction.atomic
def reset_second_factor(actor: User | None, username: str, now: datetime) -> int:
    """Removes the second factor of an account after the loss of its device. Returns how many keys were removed."""
    from allauth.mfa.models import Authenticator

    _must_administer(actor)
    removed, _ = Authenticator.objects.filter(user_id=_locked(username).pk).delete()
    audit(actor, "user.second_factor_reset", username, at=now)
    return removed


def _locked(username: str) -> User:
    user = User.objects.select_for_update().filter(username=username).first()
    if user is None:
        raise FieldError("username", f"User {username[:LONGEST_NAME]} not found.")
    return user


def role_of(role: str) -> Role:
    """Returns the role of this name. Raises FieldError."""
    try:
        return Role(role)
    except ValueError:
        raise FieldError("role", f"“{role[:40]}” is not a role: use {', '.join(Role.values)}.") from None


def _must_administer(actor: User | None) -> None:
    if actor is not None and (not actor.may(Role.ADMIN) or actor.limits is not None or scope.current() is not None):
        raise NotYours("Only an administrator without a limit can manage accounts.")
