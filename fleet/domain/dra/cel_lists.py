"""Lists in CEL: what the libraries for lists and sets answer, and `includes` of attributes with several values (KEP-5491)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from fleet.domain.dra.cel_operators import equal
from fleet.domain.dra.cel_parser import UnsupportedError
from fleet.domain.dra.cel_values import CelError, is_number

_MOST_PAIRS = 100_000


def _list(values: Any) -> list[Any]:
    if isinstance(values, list):
        return values
    raise CelError("no such overload")


def _pairs(first: Any, second: Any) -> tuple[list[Any], list[Any]]:
    if len(_list(first)) * len(_list(second)) > _MOST_PAIRS:
        raise UnsupportedError("Lists of the expression are too long to compare.")
    return first, second


def _alike(values: Any) -> list[Any]:
    """Numbers, or texts: what has an order."""
    if not all(is_number(value) for value in _list(values)) and not all(isinstance(value, str) for value in values):
        raise CelError("no such overload")
    return list(values)


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def of_list(values: Any) -> Any:
        if not isinstance(values, list) or not values:
            raise CelError("min and max need a list that is not empty")
        return choose(_alike(values))

    return of_list


def _sum(values: Any) -> Any:
    if not all(is_number(value) for value in _list(values)):
        raise CelError("no such overload")
    return sum(values)


def _is_sorted(values: Any) -> bool:
    return all(first <= second for first, second in itertools.pairwise(_alike(values)))


def contains(values: Any, others: Any) -> bool:
    """Returns whether the first list has every value of the second."""
    values, others = _pairs(values, others)
    return all(any(equal(other, value) for value in values) for other in others)


def intersects(values: Any, others: Any) -> bool:
    values, others = _pairs(values, others)
    return any(equal(other, value) for other in others for value in values)


def _includes(values: Any, wanted: Any) -> bool:
    """Returns whether an attribute has the value, alone or among several; of another type it is unknown how it is compared."""
    listed = values if isinstance(values, list) else [values]
    if any(type(value) is not type(wanted) for value in listed):
        raise UnsupportedError("includes() with a value of another type is not evaluated here.")
    return any(equal(value, wanted) for value in listed)


NAMESPACED: dict[tuple[str, int], Callable[..., Any]] = {
    ("sets.contains", 2): contains,
    ("sets.equivalent", 2): lambda first, second: contains(first, second) and contains(second, first),
    ("sets.intersects", 2): intersects,
}
METHODS: dict[tuple[str, int], Callable[..., Any]] = {
    ("min", 0): _extreme(min),
    ("max", 0): _extreme(max),
    ("sum", 0): _sum,
    ("isSorted", 0): _is_sorted,
    ("includes", 1): _includes,
}
