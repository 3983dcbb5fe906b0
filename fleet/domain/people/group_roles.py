"""Reads groups from the claims of an identity provider and maps them to a role and to limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

MOST_GROUPS = 2_000
LONGEST_GROUP = 200
EVERY_OTHER = "*"
ROLES = ("viewer", "developer", "operator", "admin")
"""Weakest first."""


def groups_of(claims: Mapping[str, object], claim: str) -> frozenset[str] | None:
    """Returns the groups in `claim`: a name, or a path with dots (`realm_access.roles`). None where the claim is absent.

    Keycloak writes a group as a path with a leading slash, other providers without: both are read alike.
    """
    value: object = claims.get(claim)
    if value is None:
        value = claims
        for part in claim.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if not isinstance(value, str | list | tuple):
        return None
    texts: Sequence[object] = [value] if isinstance(value, str) else value
    return frozenset(_plain(text) for text in texts[:MOST_GROUPS] if isinstance(text, str) and 0 < len(text) <= LONGEST_GROUP)


def role_of(groups: Iterable[str], by_role: Mapping[str, Sequence[str]], default: str = "") -> str:
    """Returns the strongest role that any of the groups gives; `default` where none does, which may be "" for no access."""
    held = set(groups)
    for role in reversed(ROLES):
        if held & {_plain(group) for group in by_role.get(role, ())}:
            return role
    return default


def limits_of(groups: Iterable[str], by_group: Mapping[str, Sequence[str] | None]) -> list[str] | None:
    """Returns what people in `groups` are limited to: all that any of their groups names; None for no limit.

    One group without a limit (None) lifts it. EVERY_OTHER is for people in none of the groups; without it they have no limit.
    """
    held = set(groups)
    own = [limits for group, limits in by_group.items() if group != EVERY_OTHER and _plain(group) in held]
    if not own:
        own = [by_group.get(EVERY_OTHER)]
    if any(limits is None for limits in own):
        return None
    return sorted({entry.strip() for limits in own for entry in limits or ()})


def is_in(group: str, groups: Iterable[str]) -> bool:
    """Returns whether `group`, as an operator wrote it, is one of `groups`."""
    return bool(group) and _plain(group) in set(groups)


def _plain(group: str) -> str:
    return group.strip().removeprefix("/")
