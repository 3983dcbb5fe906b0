"""Rules: which events are sent to which target; created, changed and deleted with an entry in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.domain.findings import Severity
from fleet.domain.history import reportable
from fleet.models import Delivery, NotificationRule, User
from fleet.services.audit import audit
from fleet.services.notifications.targets import drop_waiting

FIELDS = (
    *("name", "target", "enabled", "clusters", "pools", "products", "kinds", "verdicts", "min_severity", "group_s"),
    *("quiet_from", "quiet_until", "repeat_s", "recoveries"),
)
_LONGEST_S = 86_400


def save(actor: User, rule: NotificationRule | None, values: Mapping[str, Any]) -> NotificationRule:
    """Creates a rule, or changes the given fields of one. Raises ValidationError by field."""
    changed = rule or NotificationRule(created_at=timezone.now())
    before = _said(changed) if rule else None
    for name, value in values.items():
        if name not in FIELDS:
            raise ValidationError({name: ["A rule has no such field."]})
        setattr(changed, name, value)
    _check(changed)
    with transaction.atomic():
        try:
            with transaction.atomic():
                changed.save()
        except IntegrityError as error:
            raise ValidationError({"name": [f"A rule named {changed.name} already exists."]}) from error
        after = _said(changed)
        detail = {"before": before, "after": after} if before else {"after": after}
        audit(actor, "notification_rule.change" if before else "notification_rule.create", changed.name, detail=detail)
        if not changed.enabled:
            drop_waiting(Delivery.objects.filter(rule=changed), "Its rule was disabled.")
    return changed


@transaction.atomic
def delete(actor: User, rule: NotificationRule) -> None:
    """What it has not sent yet is not sent; the log of what it sent stays."""
    audit(actor, "notification_rule.delete", rule.name, detail={"before": _said(rule)})
    drop_waiting(Delivery.objects.filter(rule=rule), "Its rule was deleted.")
    rule.delete()


def _check(rule: NotificationRule) -> None:
    errors: dict[str, list[str]] = {}
    rule.name = rule.name.strip()
    if not rule.name or len(rule.name) > 100:
        errors["name"] = ["Give a name of at most 100 characters."]
    if rule.target_id is None:
        errors["target"] = ["Choose a target."]
    for name in ("clusters", "pools", "products", "kinds", "verdicts"):
        words = getattr(rule, name)
        if not isinstance(words, list) or not all(isinstance(word, str) and 0 < len(word) <= 253 for word in words):
            errors[name] = ["Give a list of names."]
    if not errors and set(rule.verdicts) - set(reportable.BAD):
        errors["verdicts"] = [f"Choose from {', '.join(reportable.BAD)}: these are notified when a node turns to them."]
    if rule.min_severity not in set(Severity):
        errors["min_severity"] = [f"Choose one of {', '.join(Severity)}."]
    for name in ("group_s", "repeat_s"):
        if not 0 <= getattr(rule, name) <= _LONGEST_S:
            errors[name] = [f"Give seconds from 0 to {_LONGEST_S}."]
    if (rule.quiet_from is None) != (rule.quiet_until is None):
        errors["quiet_until" if rule.quiet_until is None else "quiet_from"] = ["Give both ends of the quiet time, or neither."]
    if errors:
        raise ValidationError(errors)


def _said(rule: NotificationRule) -> dict[str, Any]:
    result = {name: getattr(rule, name) for name in FIELDS if name != "target"}
    return {
        **result,
        "target": rule.target.name,
        "quiet_from": str(rule.quiet_from or ""),
        "quiet_until": str(rule.quiet_until or ""),
    }
