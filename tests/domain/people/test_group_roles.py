from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.people.group_roles import MOST_GROUPS, groups_of, is_in, limits_of, role_of

BY_ROLE = {"viewer": ("staff",), "operator": ("/ops", "sre"), "admin": ("admins",)}


@pytest.mark.parametrize(
    ("claims", "claim", "groups"),
    [
        ({"groups": ["ops", "/sre"]}, "groups", {"ops", "sre"}),
        ({"groups": "ops"}, "groups", {"ops"}),
        ({"groups": []}, "groups", set()),
        ({}, "groups", None),
        ({"groups": 5}, "groups", None),
        ({"groups": {"a": 1}}, "groups", None),
        ({"realm_access": {"roles": ["ops"]}}, "realm_access.roles", {"ops"}),
        ({"https://example.com/groups": ["ops"]}, "https://example.com/groups", {"ops"}),
        ({"realm_access": "ops"}, "realm_access.roles", None),
        ({"groups": ["ops", 7, None, "", "x" * 201]}, "groups", {"ops"}),
    ],
)
def test_groups_of_claims(claims: dict[str, Any], claim: str, groups: set[str] | None) -> None:
    assert groups_of(claims, claim) == groups


def test_a_list_without_end_is_cut() -> None:
    groups = groups_of({"groups": [f"g{number}" for number in range(MOST_GROUPS + 1)]}, "groups")
    assert groups is not None
    assert len(groups) == MOST_GROUPS


@pytest.mark.parametrize(
    ("groups", "role"),
    [({"staff"}, "viewer"), ({"staff", "ops"}, "operator"), ({"sre", "admins"}, "admin"), ({"Ops"}, ""), (set(), "")],
)
def test_the_strongest_role_counts(groups: set[str], role: str) -> None:
    assert role_of(groups, BY_ROLE) == role


def test_a_default_is_for_people_in_none_of_the_groups() -> None:
    assert role_of({"other"}, BY_ROLE, "viewer") == "viewer"
    assert role_of({"ops"}, BY_ROLE, "viewer") == "operator"


def test_a_team_without_a_group_has_no_members_by_it() -> None:
    assert not is_in("", {""})
    assert is_in("/gpu", {"gpu"})


LIMITS = {"eu": ["cluster:eu"], "/ml": ["namespace:ml"], "platform": None, "*": ["pool:shared"]}


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ({"eu"}, ["cluster:eu"]),
        ({"eu", "ml"}, ["cluster:eu", "namespace:ml"]),
        ({"eu", "platform"}, None),
        ({"other"}, ["pool:shared"]),
        (set(), ["pool:shared"]),
    ],
)
def test_limits_are_those_of_all_groups(groups: set[str], limits: list[str] | None) -> None:
    assert limits_of(groups, LIMITS) == limits


def test_without_an_entry_for_others_they_have_no_limit() -> None:
    assert limits_of({"other"}, {"eu": ["cluster:eu"]}) is None
    assert limits_of({"*"}, {"eu": ["cluster:eu"], "*": []}) == []
