from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.devices.sharing import SharingVerdict, effective_sharing, isolation


@pytest.mark.parametrize(
    ("capacity", "devices", "label", "config", "replicas", "verdict"),
    [
        (8, 8, 1, None, 1, SharingVerdict.AGREED),
        (32, 8, 4, None, 4, SharingVerdict.AGREED),
        (32, 8, None, 4, 4, SharingVerdict.AGREED),
        (32, 8, 4, 2, 4, SharingVerdict.AGREED),
        (16, 4, 8, 4, 4, SharingVerdict.CONFIGURED),
        (16, 4, 1, 4, 4, SharingVerdict.CONFIGURED),
        (16, 4, None, None, 4, SharingVerdict.OBSERVED),
        (8, 8, 0, None, 1, SharingVerdict.OBSERVED),
        (7, 8, None, None, 1, SharingVerdict.MISSING),
        (7, 8, 1, None, 1, SharingVerdict.MISSING),
        (28, 8, 4, None, 4, SharingVerdict.MISSING),
        (12, 4, 4, 4, 4, SharingVerdict.MISSING),
        (12, 4, 4, None, None, SharingVerdict.UNCLEAR),  # one card lost, or ×3
        (2, 2, 2, 2, None, SharingVerdict.UNCLEAR),  # one card lost, or sharing not in force
        (8, 8, 4, 4, None, SharingVerdict.UNCLEAR),
        (16, 4, 8, None, 4, SharingVerdict.CONTRADICTED),
        (12, 4, 8, 8, None, SharingVerdict.UNCLEAR),
        (13, 4, 8, None, None, SharingVerdict.UNCLEAR),
        (8, 4, 1, None, 1, SharingVerdict.EXCESS),
        (16, 4, 2, 2, 2, SharingVerdict.EXCESS),
        (50, 1, 1, None, 50, SharingVerdict.CONTRADICTED),
        (10, 1, 4, None, 10, SharingVerdict.CONTRADICTED),
        (33, 4, 2, None, None, SharingVerdict.UNCLEAR),
        (0, 4, 4, None, 4, SharingVerdict.UNTESTED),
        (8, None, None, 4, 4, SharingVerdict.UNTESTED),
        (None, 4, None, None, None, SharingVerdict.UNTESTED),
    ],
)
def test_what_is_in_force(
    capacity: int | None,
    devices: int | None,
    label: int | None,
    config: int | None,
    replicas: int | None,
    verdict: SharingVerdict,
) -> None:
    result = effective_sharing(capacity=capacity, devices=devices, label=label, config=config)
    assert (result.replicas, result.verdict) == (replicas, verdict)


small = st.one_of(st.none(), st.integers(0, 40))


@given(small, small, small, small)
def test_an_answer_that_rests_on_the_capacity_explains_it(
    capacity: int | None, devices: int | None, label: int | None, config: int | None
) -> None:
    result = effective_sharing(capacity=capacity, devices=devices, label=label, config=config)
    if result.verdict in (SharingVerdict.AGREED, SharingVerdict.CONFIGURED, SharingVerdict.OBSERVED, SharingVerdict.CONTRADICTED):
        assert result.replicas is not None
        assert devices is not None
        assert devices * result.replicas == capacity
    if result.verdict is SharingVerdict.UNCLEAR:
        assert result.replicas is None


def test_only_mig_isolates() -> None:
    def words(partitioning: str | None, sharing: str | None) -> str:
        return isolation(partitioning, sharing, shared=sharing not in (None, "exclusive"), whole_cards_too=False)

    assert "own memory and faults" in words("mig-mixed", "exclusive")
    assert "not isolated" in words("mig-single", "time-slicing")
    assert "isolates nothing" in words("none", "time-slicing")
    assert "no faults" in words("none", "mps")
    assert "whole GPU" in words("none", "exclusive")
    assert words(None, None).startswith("It is unknown")


@pytest.mark.parametrize("parts", ["vgpu", "guest", "partition", "excess"])
def test_parts_of_gpus_are_never_called_whole(parts: str) -> None:
    for partitioning in (None, "none", "mig-mixed"):
        words = isolation(partitioning, "exclusive", shared=False, whole_cards_too=False, parts=parts)
        assert "is a whole GPU" not in words
        assert "nothing is shared" not in words
        assert not words.startswith("It is unknown")


def test_shares_of_parts_are_shares() -> None:
    assert "isolates nothing" in isolation("none", "time-slicing", shared=True, whole_cards_too=False, parts="guest")
