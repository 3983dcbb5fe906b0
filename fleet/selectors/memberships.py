"""Teams that a person may ask to join, and who asks to join one."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.models import MembershipRequest, Role, Team, User

MOST_NAMES = 4


@dataclass(frozen=True, slots=True)
class Joinable:
    """A team with whom to ask."""

    slug: str
    name: str
    leads: tuple[str, ...]
    is_asked: bool


@dataclass(frozen=True, slots=True)
class Joining:
    """What a person in no team can do."""

    teams: tuple[Joinable, ...]
    operators: tuple[str, ...]
    """Some of those who can add them to any team."""
    may_ask: bool


def joining(user: User) -> Joining:
    """Returns teams by name with their leads, and operators; three queries."""
    asked = set(MembershipRequest.objects.filter(user=user).values_list("team_id", flat=True))
    rows = Team.objects.prefetch_related("members__user").order_by("name", "slug")
    operators = User.objects.filter(is_active=True, role__in=(Role.OPERATOR, Role.ADMIN)).order_by("role", "username")
    return Joining(
        teams=tuple(
            Joinable(
                team.slug,
                team.name,
                tuple(member.user.get_username() for member in team.members.all() if member.lead)[:MOST_NAMES],
                team.pk in asked,
            )
            for team in rows
        ),
        operators=tuple(operators.values_list("username", flat=True)[:MOST_NAMES]),
        may_ask=user.may(Role.DEVELOPER),
    )


def asked_of(team: Team) -> list[MembershipRequest]:
    """Returns who asks to join a team, oldest first."""
    return list(team.membership_requests.select_related("user"))


def get_team(slug: str) -> Team | None:
    """The team of a slug, for who is in none: they see its name and leads only."""
    return Team.objects.filter(slug=slug).first()
