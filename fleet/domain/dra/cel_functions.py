"""Functions of CEL that device selectors may use: on quantities, semantic versions, strings, lists and optionals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from fleet.domain.dra import cel_lists, cel_network
from fleet.domain.dra.cel_parser import UnsupportedError
from fleet.domain.dra.cel_values import CelError, Optional, Quantity, Semver, compare, is_number, parse_semver
from fleet.domain.quantities import parse_quantity

_LENIENT = re.compile(r"v?(\d{1,18}(?:\.\d{1,18}){0,2})((?:-[0-9A-Za-z.-]{1,128})?(?:\+[0-9A-Za-z.-]{1,128})?)", re.ASCII)
_REPEATED_GROUP = re.compile(r"\)[*+{?]")
_UNBOUNDED = re.compile(r"[*+]|\{\d+,\}")
_ONLY_PYTHON = re.compile(r"\(\?(?!:|i\)|s\)|is\))|\\[1-9]|[*+?}]\+")
_LONGEST_PATTERN = 200
_MOST_UNBOUNDED = 4
"""More unbounded repeats than this could take minutes in a backtracking matcher, where RE2 takes none."""


def _quantity(text: Any) -> Quantity:
    amount = parse_quantity(_string(text))
    if amount is None:
        raise CelError("quantities must match the regular expression")
    return Quantity(amount)


def _semver(text: Any) -> Semver:
    version = parse_semver(_string(text))
    if version is None:
        raise CelError("invalid semantic version")
    return version


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise CelError("no such overload")


def _amount(value: Any) -> Fraction:
    if isinstance(value, Quantity):
        return value.amount
    raise CelError("no such overload")


def _operand(value: Any) -> Fraction:
    return Fraction(value) if isinstance(value, int) and not isinstance(value, bool) else _amount(value)


def _as_integer(value: Any) -> int:
    amount = _amount(value)
    if amount.denominator != 1:
        raise CelError("cannot convert value to integer")
    return int(amount)


def _version_part(position: int) -> Callable[[Any], int]:
    def part(value: Any) -> int:
        if isinstance(value, Semver):
            return value.numbers[position]
        raise CelError("no such overload")

    return part


def _compiled(pattern: Any) -> re.Pattern[str]:
    """RE2's pattern. What Python reads otherwise, or might need minutes for, is not evaluated."""
    pattern = _string(pattern)
    risky = len(_UNBOUNDED.findall(pattern)) > _MOST_UNBOUNDED or _REPEATED_GROUP.search(pattern)
    if len(pattern) > _LONGEST_PATTERN or risky or _ONLY_PYTHON.search(pattern):
        raise UnsupportedError("The pattern is not evaluated here.")
    try:
        # RE2 reads \d, \w and \b as ASCII, and $ as the very end.
        return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", pattern), re.ASCII)
    except re.error:
        raise UnsupportedError("The pattern is not understood.") from None


def _matches(text: Any, pattern: Any) -> bool:
    return _compiled(pattern).search(_string(text)) is not None


def _find(text: Any, pattern: Any) -> str:
    match = _compiled(pattern).search(_string(text))
    return match[0] if match else ""


def _find_all(text: Any, pattern: Any, most: Any = -1) -> list[str]:
    """Returns what matches, up to `most`. Where nothing may match too, Go and Python differ about what follows a match."""
    compiled = _compiled(pattern)
    if not is_number(most):
        raise CelError("no such overload")
    if compiled.match("") is not None:
        raise UnsupportedError("findAll() with a pattern that matches nothing is not evaluated here.")
    texts = [match[0] for match in compiled.finditer(_string(text))]
    return texts if most < 0 else texts[: int(most)]


def _size(value: Any) -> int:
    if isinstance(value, str | list | Mapping):
        return len(value)
    raise CelError("no such overload")


def _lower(value: Any) -> str:
    return "".join(char.lower() if char.isascii() else char for char in _string(value))


def _upper(value: Any) -> str:
    return "".join(char.upper() if char.isascii() else char for char in _string(value))


def _replace(value: Any, old: Any, new: Any) -> str:
    text, old, new = _string(value), _string(old), _string(new)
    if len(text) * max(1, len(new)) > 100_000:
        raise UnsupportedError("A value of the expression grows too long.")
    return text.replace(old, new)


def _substring(value: Any, start: Any, end: Any = None) -> str:
    text = _string(value)
    last = len(text) if end is None else end
    if not is_number(start) or not is_number(last) or not 0 <= start <= last <= len(text):
        raise CelError("index out of range")
    return text[int(start) : int(last)]


def _char_at(value: Any, index: Any) -> str:
    text = _string(value)
    if not is_number(index) or not 0 <= index <= len(text):
        raise CelError("index out of range")
    return text[int(index) : int(index) + 1]


def _join(values: Any, by: Any = "") -> str:
    if not isinstance(values, list):
        raise CelError("no such overload")
    return _string(by).join(_string(value) for value in values)


def _position(value: Any, part: Any, *, last: bool = False) -> int:
    if isinstance(value, list):
        places = [index for index, item in enumerate(value) if type(item) is type(part) and item == part]
        return (places[-1] if last else places[0]) if places else -1
    return _string(value).rfind(_string(part)) if last else _string(value).find(_string(part))


def _or(value: Any, otherwise: Any) -> Any:
    if isinstance(value, Optional) and isinstance(otherwise, Optional):
        return value if value.present else otherwise
    raise CelError("no such overload")


def _normal_semver(text: Any, normalize: Any) -> Semver:
    """Reads a version leniently where asked: a leading v, missing parts and leading zeros are taken."""
    result = _string(text)
    if normalize is True:
        match = _LENIENT.fullmatch(result)
        if match is not None:
            numbers = [str(int(part)) for part in match[1].split(".")]
            result = ".".join([*numbers, "0", "0"][:3]) + match[2]
    return _semver(result)


def _is_normal_semver(text: Any, normalize: Any) -> bool:
    _string(text)
    try:
        _normal_semver(text, normalize)
    except CelError:
        return False
    return True


def _or_value(value: Any, otherwise: Any) -> Any:
    if not isinstance(value, Optional):
        raise CelError("no such overload")
    return value.value if value.present else otherwise


def _value(value: Any) -> Any:
    if isinstance(value, Optional) and value.present:
        return value.value
    raise CelError("optional.none() dereference")


def _has_value(value: Any) -> bool:
    if isinstance(value, Optional):
        return value.present
    raise CelError("no such overload")


def _to_int(value: Any) -> int:
    try:
        if (isinstance(value, str) and len(value) < 20) or is_number(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise CelError("type conversion error")


def _to_string(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, cel_network.Ip | cel_network.Cidr):
        return cel_network.to_text(value)
    raise UnsupportedError("string() of this value is not known.")


def _to_double(value: Any) -> float:
    try:
        if (isinstance(value, str) and len(value) < 40) or is_number(value):
            return float(value)
    except ValueError:
        pass
    raise CelError("type conversion error")


FUNCTIONS: dict[tuple[str, int], Callable[..., Any]] = {
    ("quantity", 1): _quantity,
    ("isQuantity", 1): lambda text: parse_quantity(_string(text)) is not None,
    ("semver", 1): _semver,
    ("isSemver", 1): lambda text: parse_semver(_string(text)) is not None,
    ("semver", 2): _normal_semver,
    ("isSemver", 2): _is_normal_semver,
    ("size", 1): _size,
    ("int", 1): _to_int,
    ("string", 1): _to_string,
    ("double", 1): _to_double,
    ("dyn", 1): lambda value: value,
    **cel_network.FUNCTIONS,
}
"""By name and number of arguments."""

METHODS: dict[tuple[str, int], Callable[..., Any]] = {
    ("compareTo", 1): compare,
    ("isGreaterThan", 1): lambda first, second: compare(first, second) > 0,
    ("isLessThan", 1): lambda first, second: compare(first, second) < 0,
    ("add", 1): lambda first, second: Quantity(_amount(first) + _operand(second)),
    ("sub", 1): lambda first, second: Quantity(_amount(first) - _operand(second)),
    ("sign", 0): lambda value: (_amount(value) > 0) - (_amount(value) < 0),
    ("isInteger", 0): lambda value: _amount(value).denominator == 1,
    ("asInteger", 0): _as_integer,
    ("asApproximateFloat", 0): lambda value: float(_amount(value)),
    ("major", 0): _version_part(0),
    ("minor", 0): _version_part(1),
    ("patch", 0): _version_part(2),
    ("startsWith", 1): lambda text, prefix: _string(text).startswith(_string(prefix)),
    ("endsWith", 1): lambda text, suffix: _string(text).endswith(_string(suffix)),
    ("contains", 1): lambda text, part: _string(part) in _string(text),
    ("matches", 1): _matches,
    ("find", 1): _find,
    ("findAll", 1): _find_all,
    ("findAll", 2): _find_all,
    ("size", 0): _size,
    ("lowerAscii", 0): _lower,
    ("upperAscii", 0): _upper,
    ("trim", 0): lambda text: _string(text).strip(),
    ("split", 1): lambda text, by: _string(text).split(_string(by)) if by else list(_string(text)),
    ("replace", 2): _replace,
    ("indexOf", 1): _position,
    ("lastIndexOf", 1): lambda value, part: _position(value, part, last=True),
    ("charAt", 1): _char_at,
    ("join", 0): _join,
    ("join", 1): _join,
    ("reverse", 0): lambda text: _string(text)[::-1],
    ("or", 1): _or,
    ("substring", 1): _substring,
    ("substring", 2): _substring,
    ("orValue", 1): _or_value,
    ("hasValue", 0): _has_value,
    ("value", 0): _value,
    **cel_lists.METHODS,
    **cel_network.METHODS,
}
