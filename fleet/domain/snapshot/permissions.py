"""What the service account may do."""

from __future__ import annotations

import msgspec


class MissingPermission(msgspec.Struct, frozen=True, kw_only=True):
    """Something the service account may not do, what that hides, and the RBAC rule that would allow it."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    hides: str = ""


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    missing: tuple[MissingPermission, ...] = ()
    writes: tuple[str, ...] = ()
    """Writing verbs the account holds although Muster needs none: `create pods`. Self-reviews do not count."""
    reviewed: tuple[str, ...] = ()
    """Namespaces whose rules were reviewed beside the cluster-wide ones: elsewhere the account may have more."""
    incomplete: bool = False
    """The API server reports that its answer may lack rules (webhook authorisers)."""
