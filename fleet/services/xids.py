"""What an Xid code means here: an operator's decision instead of the catalogue's, and its withdrawal."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

from django.db import transaction
from django.utils import timezone

from fleet.domain.catalog import xids
from fleet.domain.findings import Severity
from fleet.domain.refusals import FieldError
from fleet.models import User, XidOverride
from fleet.services.audit import audit

_HIGHEST_CODE = 99_999


@transaction.atomic
def override(code: int, *, severity: str, action: str = "", reason: str, by: User, at: datetime | None = None) -> XidOverride:
    """Overrides the catalogue's policy of `code` from the next run on. An empty action keeps the catalogue's.

    Raises FieldError for a severity or action that does not exist, without a reason, or for a number that is no Xid.
    """
    at, reason = at or timezone.now(), reason.strip()
    if not 0 < code <= _HIGHEST_CODE:
        raise FieldError("code", f"{code} is not an Xid code.")
    if severity not in set(Severity):
        raise FieldError("severity", f"Severity {severity!r} does not exist. Choose from {', '.join(Severity)}.")
    if action and action not in get_args(xids.Action):
        raise FieldError("action", f"Action {action!r} does not exist. Choose from {', '.join(get_args(xids.Action))}.")
    if not reason:
        raise FieldError("reason", "A reason is required.")
    before = _present(code)
    row, _ = XidOverride.objects.update_or_create(
        code=code, defaults={"severity": severity, "action": action, "reason": reason, "by": by, "at": at}
    )
    audit(by, "xid.override", f"Xid {code}", reason, {"before": before, "after": _present(code)}, at)
    return row


@transaction.atomic
def withdraw(code: int, *, reason: str = "", by: User, at: datetime | None = None) -> bool:
    """Restores the catalogue's policy of `code`; False where there was no override."""
    before = _present(code)
    deleted, _ = XidOverride.objects.filter(code=code).delete()
    if not deleted:
        return False
    audit(by, "xid.withdraw", f"Xid {code}", reason.strip(), {"before": before, "after": _present(code)}, at)
    return True


def _present(code: int) -> dict[str, Any]:
    """Effective severity and action, and who set them. The row is locked until the transaction ends."""
    row = XidOverride.objects.select_for_update().filter(code=code).first()
    known = xids.policy(code)
    return {
        "severity": row.severity if row else known.severity,
        "action": (row.action if row else "") or known.action,
        "by": "operator" if row else "catalogue",
    }
