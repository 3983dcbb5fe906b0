"""What the filters of the requests' pages make of checks."""

from __future__ import annotations

from types import SimpleNamespace

from fleet.selectors.access_requests.access_requests import checked_total


def test_a_sum_over_an_unchecked_request_is_unknown() -> None:
    looked_at, unseen = SimpleNamespace(latest_check={"used_slots": 4}), SimpleNamespace(latest_check={})
    assert checked_total([looked_at, looked_at], "used_slots") == 8
    assert checked_total([looked_at, unseen], "used_slots") is None
    assert checked_total([], "used_slots") == 0
