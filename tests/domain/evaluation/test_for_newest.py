"""One result kept for the newest object, by identity."""

from __future__ import annotations

from fleet.domain.evaluation.rules import for_newest


def test_one_object_is_computed_once_and_another_again() -> None:
    calls = []

    @for_newest
    def length(items: tuple[int, ...]) -> int:
        calls.append(items)
        return len(items)

    numbers = [1, 2]
    first, equal = tuple(numbers), tuple(numbers)
    assert [length(first), length(first), length(equal), length(first)] == [2, 2, 2, 2]
    assert [id(items) for items in calls] == [id(first), id(equal), id(first)]
