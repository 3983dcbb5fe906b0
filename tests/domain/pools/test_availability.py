"""The state of an availability target that is shown: what was not observed has a word of its own."""

from __future__ import annotations

import pytest

from fleet.domain.pools.availability import Availability


@pytest.mark.parametrize(
    ("target", "state", "shown"),
    [(99.0, "none", "not_observed"), (None, "none", "none"), (99.0, "met", "met"), (99.0, "violated", "violated")],
)
def test_a_target_without_an_observation_is_named_so(target: float | None, state: str, shown: str) -> None:
    row = Availability(target_percent=target, state=state, percent=None, observed_s=0)
    assert row.observed_state == shown
