"""People who want to belong to a team: they ask, and a lead of the team or an operator adds them or declines."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.models import MembershipRequest, Role, Team, User
from fleet.services import outbox, teams
from fleet.services.audit import audit

LONGEST_REASON = 500


@transaction.atomic
def ask(user: User, team: Team, reason: str, now: datetime) -> MembershipRequest:
    """Asks for membership; once more only changes the reason. Raises FieldError, NotNow and NotYours."""
    if not user.may(Role.DEVELOPER):
        raise NotYours("Viewers cannot request for a team. An administrator gives you the developer role.")
    if len(reason := reason.strip()) > LONGEST_REASON:
        raise FieldError("reason", f"Use at most {LONGEST_REASON} characters.")
    if teams.belongs(user, team):
        raise NotNow(f"You are a member of {team.name}.")
    row, is_new = MembershipRequest.objects.update_or_create(
        team=team, user=user, defaults={"reason": reason}, create_defaults={"reason": reason, "asked_at": now}
    )
    if is_new:
        audit(user, "team.ask_membership", team.slug, reason, {"after": {"user": user.get_username()}}, now)
        key = f"membership:{team.slug}:{user.pk}"
        detail = {"for": "approvers", "team": team.slug}
        outbox.add("request", key, now, f"{user.get_username()} asks to join {team.name}", reason, severity="info", detail=detail)
    return row


@transaction.atomic
def decline(actor: User, team: Team, user: User, now: datetime) -> None:
    """Declines a request. Operators, and leads of the team. Raises NotYours, and NotNow where nothing was asked."""
    if not teams.manages(actor, team):
        raise NotYours("Only an operator or a lead of the team can decline a membership.")
    if not MembershipRequest.objects.filter(team=team, user=user).delete()[0]:
        raise NotNow(f"{user.get_username()} does not ask to join {team.name} any more.")
    was = {"user": user.get_username()}
    audit(actor, "team.decline_membership", f"{team.slug}: {user.get_username()}", detail={"before": was}, at=now)
