"""Teams: creating and changing them, and their members."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db import transaction

from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.models import MembershipRequest, Role, Team, TeamMember, User
from fleet.services.audit import audit

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


def belongs(user: User, team: Team) -> bool:
    """Whether the user may ask in the team's name."""
    return TeamMember.objects.filter(user=user, team=team).exists()


@transaction.atomic
def save_team(  # noqa: PLR0913 the fields of a team, given by name
    actor: User,
    slug: str,
    name: str,
    namespaces: Sequence[str],
    max_replicas: int | None,
    sso_group: str,
    now: datetime,
    *,
    new: bool = False,
) -> Team:
    """Creates a team, or changes the one of that slug; with `new` only the first.

    Operators only: a team's namespaces decide whose use counts as its own. Raises FieldError and NotYours.
    """
    if not actor.may(Role.OPERATOR):
        raise NotYours("Only an operator can create or change a team.")
    slug, name, sso_group = slug.strip(), name.strip(), sso_group.strip()
    wrong = [*_wrong(slug, name, namespaces, max_replicas, sso_group)]
    if new and not wrong and Team.objects.filter(slug=slug).exists():
        wrong.append(("slug", f"Team {slug} already exists."))
    if wrong:
        raise FieldError(*wrong[0], *wrong[1:])
    fields = {"name": name, "namespaces": sorted(set(namespaces)), "max_replicas": max_replicas, "sso_group": sso_group}
    before = Team.objects.filter(slug=slug).first()
    team, _ = Team.objects.update_or_create(slug=slug, defaults=fields, create_defaults={**fields, "created_at": now})
    was = {key: getattr(before, key) for key in fields} if before else None
    audit(actor, "team.save", slug, detail={"before": was, "after": fields}, at=now)
    return team


def _wrong(
    slug: str, name: str, namespaces: Sequence[str], max_replicas: int | None, sso_group: str
) -> Iterator[tuple[str, str]]:
    """Returns the invalid fields, each with a sentence."""
    if not _LABEL.fullmatch(slug):
        yield "slug", "Use 1 to 63 lowercase letters, digits and dashes, no dash at an end."
    if not 1 <= len(name) <= 120:
        yield "name", "Give a name of at most 120 characters."
    bad = [namespace for namespace in namespaces if not _LABEL.fullmatch(namespace)]
    if bad:
        yield (
            "namespaces",
            f"“{bad[0][:80]}” is not a valid namespace: use 1 to 63 lowercase letters, digits and hyphens (RFC 1123).",
        )
    else:
        for other in Team.objects.exclude(slug=slug).order_by("slug"):
            if taken := sorted(set(other.namespaces) & set(namespaces)):
                yield "namespaces", f"{taken[0]} belongs to {other.name}. A namespace can belong to one team only."
                break
    if max_replicas is not None and not 0 <= max_replicas <= 10_000:
        yield "max_replicas", "Enter 0 to 10,000 replicas, or leave it empty."
    if len(sso_group) > 200:
        yield "sso_group", "Give a group name of at most 200 characters."


@transaction.atomic
def set_member(actor: User, team: Team, user: User, *, lead: bool, now: datetime) -> TeamMember:
    """Adds a member, or changes whether they lead. Operators, and leads of the team."""
    _may_manage(actor, team)
    before = TeamMember.objects.select_for_update(of=("self",)).filter(team=team, user=user).first()
    was = {"lead": before.lead} if before else None
    member, _ = TeamMember.objects.update_or_create(team=team, user=user, defaults={"lead": lead})
    MembershipRequest.objects.filter(team=team, user=user).delete()
    audit(actor, "team.member", f"{team.slug}: {user.get_username()}", detail={"before": was, "after": {"lead": lead}}, at=now)
    return member


@transaction.atomic
def remove_member(actor: User, team: Team, user: User, now: datetime) -> None:
    """Takes a member out. Operators, and leads of the team. Raises NotNow where the user is no member."""
    _may_manage(actor, team)
    member = TeamMember.objects.select_for_update(of=("self",)).filter(team=team, user=user).first()
    if member is None:
        raise NotNow(f"{user.get_username()} is not a member of {team.name}.")
    member.delete()
    audit(actor, "team.remove_member", f"{team.slug}: {user.get_username()}", detail={"before": {"lead": member.lead}}, at=now)


def manages(actor: User, team: Team) -> bool:
    """Whether the user may add and remove members: operators, and leads of the team."""
    return actor.may(Role.OPERATOR) or TeamMember.objects.filter(team=team, user=actor, lead=True).exists()


def _may_manage(actor: User, team: Team) -> None:
    if not manages(actor, team):
        raise NotYours("Only an operator or a lead of the team can change its members.")
