"""API tokens: created, rotated, revoked, and marked as used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.models import SCOPES, ApiToken, Cluster, Role, User, scope_views, scopes_up_to
from fleet.models import scope as current_scope
from fleet.models.tokens import PUBLIC_ID_LENGTH
from fleet.services.accounts import role_of
from fleet.services.audit import audit

MOST_DAYS = 36_500
LONGEST_NAME = 100
ROTATED_FOR = timedelta(hours=24)
"""How long the earlier secret of a rotated token still works."""
_NOTED_EVERY = timedelta(minutes=1)


@transaction.atomic
def create(  # noqa: PLR0913 the fields of a token, given by name
    actor: User | None,
    user: User,
    now: datetime,
    *,
    role: str | None = None,
    scopes: Sequence[str] | None = None,
    lifetime: timedelta | None = None,
    name: str = "",
    clusters: Sequence[str] | None = None,
) -> tuple[ApiToken, str]:
    """Creates a token and returns its secret, which is shown once and stored as a digest only.

    For oneself, or as an administrator for a service account; without an actor it was the command line. Neither role nor scopes
    exceed what the user may; `clusters` names the only ones it is good for, and a token that has some makes none that reaches
    further. Raises FieldError, NotNow and NotYours.
    """
    if actor is not None and actor.pk != user.pk and not (actor.may(Role.ADMIN) and user.service):
        raise NotYours("Only its owner can create a token, or an administrator for a service account.")
    if not user.is_active:
        raise NotNow(f"{user.username} is switched off.")
    owned = Role(user.role) if actor is None or actor.pk != user.pk else min(Role(user.role), Role(actor.role), key=_rank)
    wanted = owned if role is None else role_of(role)
    if wanted.rank > owned.rank:
        raise FieldError("role", f"A token of {user.username} can be at most {owned.label.lower()}.")
    chosen = scopes_up_to(wanted) if scopes is None else list(dict.fromkeys(scopes))
    _check_scopes(chosen, wanted)
    if len(name) > LONGEST_NAME:
        raise FieldError("name", f"Use at most {LONGEST_NAME} characters.")
    only = _clusters(clusters)
    token, secret = ApiToken.objects.create(
        user=user, expiry=lifetime, role=wanted, scopes=chosen, name=name.strip(), clusters=only
    )
    detail = {
        "name": token.name,
        "clusters": only,
        "role": token.role,
        "scopes": chosen,
        "expires": token.expiry.isoformat() if token.expiry else None,
    }
    audit(actor, "token.create", _subject(token), detail=detail, at=now)
    return token, secret


@transaction.atomic
def revoke(actor: User, public_id: str, now: datetime) -> ApiToken:
    """Revokes one's own token, or as an administrator any token. Its row stays. Raises NotNow."""
    token = _editable(actor, public_id, now)
    token.revoked_at = now
    token.save(update_fields=["revoked_at"])
    audit(actor, "token.revoke", _subject(token), detail={"name": token.name}, at=now)
    return token


@transaction.atomic
def rotate(actor: User, public_id: str, now: datetime) -> tuple[ApiToken, str]:
    """Returns a new token with the same role, scopes and lifetime, and its secret; the earlier one works for another day."""
    old = _editable(actor, public_id, now)
    if old.user_id != actor.pk and not old.user.service:
        raise NotYours("Only its owner can rotate this token: it shows the new secret.")
    # The secret is shown to the caller: a token with fewer rights than this one must not get it.
    if old.user_id == actor.pk and (old.effective_role.rank > Role(actor.role).rank or not _is_within(old.clusters)):
        raise NotYours("This token may do more than the one you use. Rotate it on the account page.")
    lifetime = old.expiry - old.created if old.expiry else None
    token, secret = ApiToken.objects.create(
        user=old.user,
        expiry=lifetime,
        role=min(Role(old.role), Role(old.user.role), key=_rank),
        scopes=old.scopes,
        name=old.name,
        clusters=old.clusters,
    )
    until = now + ROTATED_FOR
    if old.expiry is None or old.expiry > until:
        old.expiry = until
        old.save(update_fields=["expiry"])
    audit(actor, "token.rotate", _subject(token), detail={"before": _subject(old), "name": token.name}, at=now)
    return token, secret


@transaction.atomic
def create_from_command_line(  # noqa: PLR0913 the options of the command, given by name
    username: str,
    now: datetime,
    *,
    role: Role | None,
    lifetime: timedelta | None,
    name: str = "",
    scopes: Sequence[str] | None = None,
    raise_role: bool = False,
    service: bool = False,
    clusters: Sequence[str] | None = None,
) -> tuple[ApiToken, str]:
    """A token for `username`, who is made if needed, and its secret. Without a role the token gets its user's.

    A role above the user's is refused unless `raise_role`; then the user gets it. Raises FieldError and NotNow.
    """
    user = User.objects.select_for_update().filter(username=username).first()
    if user is None:
        from fleet.services import accounts

        user = accounts.create(None, username, role or Role.VIEWER, now, service=service)
    elif role is not None and role.rank > Role(user.role).rank:
        if not raise_role:
            raise FieldError("role", f"{username} is {user.role}. Add --raise to make them {role.value}.")
        if user.sso:
            raise NotNow(f"The role of {username} comes from groups of the identity provider. Change the groups there.")
        audit(
            None, "user.change", username, "create_token --raise", {"before": {"role": user.role}, "after": {"role": role}}, now
        )
        user.role = role
        user.save(update_fields=["role"])
    return create(None, user, now, role=role, scopes=scopes, lifetime=lifetime, name=name, clusters=clusters)


def _clusters(clusters: Sequence[str] | None) -> list[str] | None:
    """Returns the names a new token is limited to. Raises FieldError and NotNow."""
    request = current_scope.current()
    if clusters is None:
        return None if request is None or request.within is None else sorted(request.within)
    wanted = sorted(set(clusters))
    known = set(Cluster.objects.filter(name__in=wanted, removed_at__isnull=True).values_list("name", flat=True))
    missing = [name for name in wanted if name not in known]
    if missing or not wanted:
        raise FieldError("clusters", f"Cluster {missing[0][:80]} not found." if missing else "Name at least one cluster.")
    if not _is_within(wanted):
        raise FieldError("clusters", "The token you use is limited to other clusters.")
    if not scope_views.are_there():
        raise NotNow("The database's user may not create a schema, so no token can be limited: see docs/access.md.")
    return wanted


def _is_within(clusters: Sequence[str] | None) -> bool:
    """Whether a token for these clusters has no more access than the caller's."""
    request = current_scope.current()
    if request is None or request.within is None:
        return True
    return clusters is not None and set(clusters) <= request.within


def scopes_of(user: User) -> list[str]:
    """Returns the scopes a token of this user can have."""
    return scopes_up_to(user.role)


def note_use(token: ApiToken, address: str, now: datetime) -> None:
    """Notes when and from where a token was used, to the minute."""
    if token.last_used_at is not None and now - token.last_used_at < _NOTED_EVERY and token.last_used_from == address:
        return
    old = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now)
    ApiToken.objects.filter(old, pk=token.pk).update(last_used_at=now, last_used_from=address[:45])


def _editable(actor: User, public_id: str, now: datetime) -> ApiToken:
    rows = ApiToken.objects.select_for_update(of=("self",)).select_related("user")
    token = (rows if actor.may(Role.ADMIN) else rows.filter(user=actor)).filter(digest__startswith=public_id).first()
    if token is None or len(public_id) != PUBLIC_ID_LENGTH:
        raise NotNow("The token does not exist.")
    if token.state(now) != "active":
        raise NotNow(f"The token is {token.state(now)} already.")
    return token


def _check_scopes(scopes: Sequence[str], role: Role) -> None:
    if not scopes:
        raise FieldError("scopes", f"Choose at least one of {', '.join(SCOPES)}.")
    for scope in scopes:
        if scope not in SCOPES:
            raise FieldError("scopes", f"“{scope[:40]}” is not a scope: use {', '.join(SCOPES)}.")
        if SCOPES[scope].rank > role.rank:
            raise FieldError("scopes", f"Scope {scope} needs role {SCOPES[scope].value}; the token is {role.value}.")


def _rank(role: Role) -> int:
    return role.rank


def _subject(token: ApiToken) -> str:
    return f"{token.token_key}… of {token.user.username}"
