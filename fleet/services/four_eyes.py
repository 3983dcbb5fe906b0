"""Four-eyes rule: the person who requests access, or a change of it, does not decide it.

With MUSTER_FOUR_EYES, which is the default. An installation with a single operator has no second one to decide: there they still
do, and the audit log shows who asked and who decided.
"""

from __future__ import annotations

from django.conf import settings

from fleet.domain.refusals import NotYours
from fleet.models import AccessRequest, Role, User

_OPERATING = (Role.OPERATOR, Role.ADMIN)
_ASKS = frozenset({"submit", "extend", "resize"})
_DECISIONS = frozenset({"approve", "change", "refuse_change"})


def check(actor: User, row: AccessRequest) -> None:
    """Raises NotYours where the actor made the pending request, or is a service account, which cannot be the second person."""
    if blocks(actor, row):
        raise NotYours("A service account cannot decide." if actor.service else "You requested this: another operator decides.")


def blocks(actor: User, row: AccessRequest) -> bool:
    """Returns whether another person has to decide a pending request."""
    if not settings.FOUR_EYES:
        return False
    return actor.service or (actor.pk in _askers(row) and _has_others(actor))


def decides_alone(actor: User) -> bool:
    """Whether a change that an operator asks for is granted at once."""
    return actor.may(Role.OPERATOR) and not (settings.FOUR_EYES and (actor.service or _has_others(actor)))


def _askers(row: AccessRequest) -> set[int | None]:
    """Ids of who asked for what waits: of the whole request, or of the changes since the last decision."""
    asked: set[int | None] = set()
    for step in sorted(row.steps.all(), key=lambda step: (step.at, step.pk), reverse=True):
        if step.kind in _DECISIONS:
            return asked
        if step.kind in _ASKS:
            asked.add(step.actor_id)
    return asked | {row.requested_by_id}


def _has_others(actor: User) -> bool:
    others = User.objects.filter(role__in=_OPERATING, is_active=True, service=False)
    return others.exclude(pk=actor.pk).exists()
