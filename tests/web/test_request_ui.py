"""What the filters of the requests' pages make of checks."""

from __future__ import annotations

from types import SimpleNamespace

from fleet.templatetags.request_ui import total


def test_a_sum_over_a_request_that_nobody_looked_at_is_unknown() -> None:
    looked_at, unseen = SimpleNamespace(latest_check={"used_slots": 4}), SimpleNamespace(latest_check={})
    assert total([looked_at, looked_at], "used_slots") == 8
    assert total([looked_at, unseen], "used_slots") is None
    assert total([], "used_slots") == 0
