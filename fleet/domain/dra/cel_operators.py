"""Operators of CEL: equality, order and arithmetic, with the language's errors."""

from __future__ import annotations

from typing import Any

from fleet.domain.dra.cel_parser import UnsupportedError
from fleet.domain.dra.cel_values import CelError, is_number

_INT64 = 2**63


def equal(left: Any, right: Any) -> bool:
    """Returns whether two values are equal: numbers by their amount, everything else only within its own type."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(first, second) for first, second in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return type(left) is type(right) and bool(left == right)


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise CelError("no such overload")


def ordered(operator: str, left: Any, right: Any) -> bool:
    """Returns whether left stands in this order to right. Numbers compare with numbers, else only one type with itself."""
    alike = (is_number(left) and is_number(right)) or (type(left) is type(right) and isinstance(left, str | bool))
    if not alike:
        raise CelError("no such overload")
    match operator:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
    return bool(left >= right)


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return _joined(left + right)
    if operator == "+" and isinstance(left, list) and isinstance(right, list):
        return _joined(left + right)
    if not is_number(left) or type(left) is not type(right):
        raise CelError("no such overload")
    match operator:
        case "+":
            return within(left + right)
        case "-":
            return within(left - right)
        case "*":
            return within(left * right)
    if right == 0:
        raise CelError("division by zero" if operator == "/" else "modulus by zero")
    if isinstance(left, float):
        if operator == "%":
            raise CelError("no such overload")
        return left / right
    quotient = abs(left) // abs(right)
    quotient = quotient if (left < 0) == (right < 0) else -quotient
    return quotient if operator == "/" else left - right * quotient


def within(number: Any) -> Any:
    """Returns the number. Raises CelError where it is no 64-bit integer any more."""
    if isinstance(number, int) and not -_INT64 <= number < _INT64:
        raise CelError("integer overflow")
    return number


def _joined(value: Any) -> Any:
    if len(value) > 10_000:
        raise UnsupportedError("A value of the expression grows too long.")
    return value
