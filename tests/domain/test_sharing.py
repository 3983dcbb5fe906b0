from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.sharing import Verdict, in_force, isolation


@pytest.mark.parametrize(
    ("capacity", "devices", "label", "config", "replicas", "verdict"),
    [
        (8, 8, 1, None, 1, Verdict.AGREED),
        (32, 8, 4, None, 4, Verdict.AGREED),
        (32, 8, None, 4, 4, Verdict.AGREED),
        (32, 8, 4, 2, 4, Verdict.AGREED),
        (16, 4, 8, 4, 4, Verdict.CONFIGURED),
        (16, 4, 1, 4, 4, Verdict.CONFIGURED),
        (16, 4, None, None, 4, Verdict.OBSERVED),
        (8, 8, 0, None, 1, Verdict.OBSERVED),
        (7, 8, None, None, None, Verdict.MISSING),
        (7, 8, 1, None, 1, Verdict.MISSING),
        (28, 8, 4, None, 4, Verdict.MISSING),
        (12, 4, 4, 4, 4, Verdict.MISSING),
        (12, 4, 4, None, None, Verdict.UNCLEAR),  # one card lost, or ×3
        (2, 2, 2, 2, None, Verdict.UNCLEAR),  # one card lost, or sharing not in force
        (8, 8, 4, 4, 1, Verdict.CONTRADICTED),
        (16, 4, 8, None, 4, Verdict.CONTRADICTED),
        (12, 4, 8, 8, 3, Verdict.CONTRADICTED),
        (13, 4, 8, None, None, Verdict.UNCLEAR),
        (8, 4, 1, None, 1, Verdict.EXCESS),
        (16, 4, 2, 2, 2, Verdict.EXCESS),
        (50, 1, 1, None, 50, Verdict.CONTRADICTED),
        (10, 1, 4, None, 10, Verdict.CONTRADICTED),
        (33, 4, 2, None, None, Verdict.UNCLEAR),
        (0, 4, 4, None, 4, Verdict.UNTESTED),
        (8, None, None, 4, 4, Verdict.UNTESTED),
        (None, 4, None, None, None, Verdict.UNTESTED),
    ],
)
def test_what_is_in_force(
    capacity: int | None, devices: int | None, label: int | None, config: int | None, replicas: int | None, verdict: Verdict
) -> None:
    found = in_force(capacity=capacity, devices=devices, label=label, config=config)
    assert (found.replicas, found.verdict) == (replicas, verdict)


small = st.one_of(st.none(), st.integers(0, 40))


@given(small, small, small, small)
def test_an_answer_that_rests_on_the_capacity_explains_it(
    capacity: int | None, devices: int | None, label: int | None, config: int | None
) -> None:
    found = in_force(capacity=capacity, devices=devices, label=label, config=config)
    if found.verdict in (Verdict.AGREED, Verdict.CONFIGURED, Verdict.OBSERVED, Verdict.CONTRADICTED):
        assert found.replicas is not None
        assert devices is not None
        assert devices * found.replicas == capacity
    if found.verdict is Verdict.UNCLEAR:
        assert found.replicas is None


def test_only_mig_is_said_to_isolate() -> None:
    def words(partitioning: str | None, sharing: str | None) -> str:
        return isolation(partitioning, sharing, shared=sharing not in (None, "exclusive"), whole_cards_too=False)

    assert "own memory and faults" in words("mig-mixed", "exclusive")
    assert "not isolated" in words("mig-single", "time-slicing")
    assert "isolates nothing" in words("none", "time-slicing")
    assert "no faults" in words("none", "mps")
    assert "whole card" in words("none", "exclusive")
    assert words(None, None).startswith("Unknown")


@pytest.mark.parametrize("parts", ["vgpu", "guest", "partition", "excess"])
def test_parts_of_cards_are_never_said_to_be_whole(parts: str) -> None:
    for partitioning in (None, "none", "mig-mixed"):
        words = isolation(partitioning, "exclusive", shared=False, whole_cards_too=False, parts=parts)
        assert "is a whole card" not in words
        assert "nothing is shared" not in words
        assert not words.startswith("Unknown")


def test_shares_of_parts_are_told_as_shares() -> None:
    assert "isolates nothing" in isolation("none", "time-slicing", shared=True, whole_cards_too=False, parts="guest")
