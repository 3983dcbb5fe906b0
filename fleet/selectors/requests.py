"""Requests for classes: whose one may see, and what an approver wants to know beside them."""

from __future__ import annotations

from django.db.models import QuerySet

from fleet.models import ClassRequest, Role, Team, User

_SELECTED = ("team", "class_version__workload_class", "requested_by", "decided_by")


def visible_to(user: User) -> QuerySet[ClassRequest]:
    """Operators see every request; everybody else those of their own teams."""
    rows = ClassRequest.objects.select_related(*_SELECTED).prefetch_related("steps__actor")
    return rows if user.may(Role.OPERATOR) else rows.filter(team__members__user=user)


def teams_of(user: User) -> QuerySet[Team]:
    """Teams the user may ask for: operators for any, others for their own."""
    teams = Team.objects.prefetch_related("members__user")
    return teams if user.may(Role.OPERATOR) else teams.filter(members__user=user)


def waiting(user: User) -> int:
    """How many requests wait for a decision of an operator; 0 for everybody else."""
    if not user.may(Role.OPERATOR):
        return 0
    changes = ClassRequest.objects.filter(state__in=("approved", "active", "expiring"))
    changed = changes.exclude(extension_until__isnull=True, wanted_replicas__isnull=True).count()
    return ClassRequest.objects.filter(state="submitted").count() + changed
