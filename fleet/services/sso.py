"""Applies the claims of an identity provider about a person: access, role, limits and teams follow its groups."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from fleet.domain.people.group_roles import groups_of, is_in, limits_of, role_of
from fleet.models import Role, Team, TeamMember, User
from fleet.services import sessions
from fleet.services.audit import audit
from fleet.services.sso_provider import provider

_REASON = "Groups of the identity provider"


def role_in(claims: Mapping[str, object]) -> str:
    """Returns the role that the claims give; empty where they give no access."""
    groups = groups_of(claims, provider().groups_claim) or frozenset()
    return role_of(groups, provider().by_role, provider().default_role)


def states_groups(claims: Mapping[str, object]) -> bool:
    """Whether the claims contain groups: absent is not the same as empty."""
    return groups_of(claims, provider().groups_claim) is not None


@transaction.atomic
def apply_claims(user: User, claims: Mapping[str, object], now: datetime) -> bool:
    """Brings role, limits, teams, name and access of a user in line with the claims. Returns whether they may sign in.

    Without a group that gives access the account is switched off and its sessions end, which takes its tokens with it. Who was
    switched off by an administrator stays so.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    groups = groups_of(claims, provider().groups_claim) or frozenset()
    role = role_of(groups, provider().by_role, provider().default_role)
    new = not user.sso
    before = {"role": user.role, "active": user.is_active}
    user.sso, user.sso_checked_at = True, now
    limited, by_group = user.limits, provider().limits
    if by_group is not None:
        user.limits = limits_of(groups, by_group)
    if role:
        user.role = Role(role)
        if user.sso_refused:
            user.is_active, user.sso_refused = True, False
    elif user.is_active:
        user.role, user.is_active, user.sso_refused = Role.VIEWER, False, True
    for field, claim, longest in (("first_name", "given_name", 150), ("last_name", "family_name", 150), ("email", "email", 254)):
        value = claims.get(claim)
        if isinstance(value, str) and "\0" not in value:
            setattr(user, field, value[:longest])
    user.save()
    after = {"role": user.role, "active": user.is_active}
    if new:
        audit(None, "user.create", user.username, _REASON, {"after": after}, now)
    elif before != after:
        audit(None, "user.change", user.username, _REASON, {"before": before, "after": after}, now)
    if user.limits != limited:
        audit(None, "user.limit", user.username, _REASON, {"before": {"limits": limited}, "after": {"limits": user.limits}}, now)
    _join_teams(user, groups if role else frozenset(), now)
    if not user.is_active:
        sessions.end_all(user)
    return user.is_active


def _join_teams(user: User, groups: frozenset[str], now: datetime) -> None:
    """Memberships that came from a group end with it; those that people gave stay."""
    own = {member.team_id: member for member in TeamMember.objects.filter(user=user)}
    for team in Team.objects.exclude(sso_group=""):
        member = own.get(team.pk)
        if is_in(team.sso_group, groups):
            if member is None:
                TeamMember.objects.create(team=team, user=user, from_group=True)
                audit(None, "team.member", f"{team.slug}: {user.username}", _REASON, {"lead": False}, now)
        elif member is not None and member.from_group:
            member.delete()
            audit(None, "team.remove_member", f"{team.slug}: {user.username}", _REASON, at=now)
