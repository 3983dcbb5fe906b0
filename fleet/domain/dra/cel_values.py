"""Values of CEL beyond numbers and text: quantities, semantic versions, optionals, and its errors."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import msgspec

_SEMVER = re.compile(
    r"(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})(?:-([0-9A-Za-z.-]{1,128}))?(?:\+[0-9A-Za-z.-]{1,128})?", re.ASCII
)


class CelError(Exception):
    """An error of evaluation, in the words of the language (“no such key: type”)."""


class Optional(msgspec.Struct, frozen=True, kw_only=True):
    """A value that may be absent."""

    present: bool
    value: Any = None


class Quantity(msgspec.Struct, frozen=True):
    """A Kubernetes quantity: `16Gi` and `17179869184` are equal."""

    amount: Fraction


class Semver(msgspec.Struct, frozen=True):
    """A semantic version; build metadata does not count."""

    numbers: tuple[int, int, int]
    pre: tuple[str, ...] = ()


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def parse_semver(text: str) -> Semver | None:
    """Returns the version that a text is; None when it is not a strict semantic version."""
    match = _SEMVER.fullmatch(text)
    if match is None:
        return None
    return Semver((int(match[1]), int(match[2]), int(match[3])), tuple(match[4].split(".")) if match[4] else ())


def _precedence(pre: tuple[str, ...]) -> tuple[Any, ...]:
    """Sorts a version without a pre-release after those with one, numbers before words (semver.org, item 11)."""
    if not pre:
        return (1,)
    return (0, *((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in pre))


def compare(left: Any, right: Any) -> int:
    """Returns -1, 0 or 1 for two quantities or two versions."""
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return (left.amount > right.amount) - (left.amount < right.amount)
    if isinstance(left, Semver) and isinstance(right, Semver):
        first, second = (left.numbers, _precedence(left.pre)), (right.numbers, _precedence(right.pre))
        return (first > second) - (first < second)
    raise CelError("no such overload")
