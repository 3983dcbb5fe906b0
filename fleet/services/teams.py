"""Teams: making them, and who belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from fleet.domain.asking import NotYours
from fleet.models import Role, Team, TeamMember, User
from fleet.services.audit import audit


def belongs(user: User, team: Team) -> bool:
    """Whether the user may ask in the team's name."""
    return TeamMember.objects.filter(user=user, team=team).exists()


@transaction.atomic
def save_team(
    actor: User, slug: str, name: str, namespaces: Sequence[str], max_replicas: int | None, sso_group: str, now: datetime
) -> Team:
    """Makes a team, or changes the one of that slug. Operators only: a team's namespaces decide whose use counts as its own."""
    if not actor.may(Role.OPERATOR):
        raise NotYours("Only an operator can make or change a team.")
    told = {"name": name, "namespaces": sorted(set(namespaces)), "max_replicas": max_replicas, "sso_group": sso_group}
    before = Team.objects.filter(slug=slug).first()
    team, _ = Team.objects.update_or_create(slug=slug, defaults=told, create_defaults={**told, "created_at": now})
    was = {key: getattr(before, key) for key in told} if before else None
    audit(actor, "team.save", slug, detail={"before": was, "after": told}, at=now)
    return team


@transaction.atomic
def set_member(actor: User, team: Team, user: User, *, lead: bool, now: datetime) -> TeamMember:
    """Adds a member, or changes whether they lead. Operators, and leads of the team."""
    _may_manage(actor, team)
    member, _ = TeamMember.objects.update_or_create(team=team, user=user, defaults={"lead": lead})
    audit(actor, "team.member", f"{team.slug}: {user.get_username()}", detail={"lead": lead}, at=now)
    return member


@transaction.atomic
def remove_member(actor: User, team: Team, user: User, now: datetime) -> None:
    _may_manage(actor, team)
    TeamMember.objects.filter(team=team, user=user).delete()
    audit(actor, "team.remove_member", f"{team.slug}: {user.get_username()}", at=now)


def _may_manage(actor: User, team: Team) -> None:
    if not actor.may(Role.OPERATOR) and not TeamMember.objects.filter(team=team, user=actor, lead=True).exists():
        raise NotYours("Only an operator or a lead of the team can change its members.")
