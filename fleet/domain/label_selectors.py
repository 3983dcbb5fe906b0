"""Kubernetes' label selectors: the grammar `a=b, c!=d, e in (f,g), h notin (i), j, !k, l>5`, and `matchExpressions` as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fleet.domain.refusals import FieldError

_TERM = re.compile(
    r"""\s*(?:
        !\s*(?P<absent>[^\s,=!<>()]+)
      | (?P<key>[^\s,=!<>()]+)\s*
        (?: (?P<op>==|=|!=|>|<)\s*(?P<value>[^\s,()<>=!]*)
          | \s(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
        )?
    )\s*(?:,|$)""",
    re.VERBOSE,
)

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,63}", re.ASCII)
_LARGEST = 2**63
OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent", "Gt": "gt", "Lt": "lt"}
"""Operator in a matchExpression to Muster's operator."""
_WORDS = {ours: entry for entry, ours in OPERATORS.items()}
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*", re.ASCII)


class Requirement(msgspec.Struct, frozen=True):
    """One term. `operator` is in, notin, exists, absent, gt or lt, as Kubernetes names them; all terms must hold."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


def parse(text: str) -> tuple[Requirement, ...]:
    """Returns the requirements of a selector, in their order. An empty text has none and matches everything."""
    rows: list[Requirement] = []
    position = 0
    while position < len(text) and text[position:].strip():
        term = _TERM.match(text, position)
        if term is None or term.end() == position:
            raise FieldError(
                "selector", f"“{text[position:].strip()}” is not a valid label selector: use key=value, key in (a,b) or !key."
            )
        rows.append(_requirement(term))
        position = term.end()
    return tuple(rows)


def _requirement(term: re.Match[str]) -> Requirement:
    if term["absent"]:
        return Requirement(term["absent"], "absent")
    key = term["key"]
    if term["set"]:
        return Requirement(key, term["set"], tuple(value.strip() for value in term["values"].split(",")))
    match term["op"]:
        case None:
            return Requirement(key, "exists")
        case "=" | "==":
            return Requirement(key, "in", (term["value"],))
        case "!=":
            return Requirement(key, "notin", (term["value"],))
        case operator:
            if whole_number(term["value"]) is None:
                raise FieldError("selector", f"“{key}{operator}{term['value']}” does not compare with a whole number.")
            return Requirement(key, "gt" if operator == ">" else "lt", (term["value"],))


def matches(requirements: Iterable[Requirement], labels: Mapping[str, str]) -> bool:
    """Returns whether an object with these labels is selected: every requirement holds."""
    # No generator here: a fleet asks this a hundred thousand times for one page.
    for requirement in requirements:  # noqa: SIM110
        if not holds(requirement, labels.get(requirement.key)):
            return False
    return True


def holds(requirement: Requirement, value: str | None) -> bool:
    """Returns whether one requirement holds for a label's value; None where the object has no such label.

    As the API server and the scheduler read it: a missing label is in no list, and neither above nor below any number.
    """
    match requirement.operator:
        case "in":
            return value is not None and value in requirement.values
        case "notin":
            return value is None or value not in requirement.values
        case "exists":
            return value is not None
        case "absent":
            return value is None
    number, limit = whole_number(value or ""), whole_number(requirement.values[0])
    if number is None or limit is None:
        return False
    return number > limit if requirement.operator == "gt" else number < limit


def whole_number(text: str) -> int | None:
    """Returns the number as Kubernetes compares labels with Gt and Lt (a signed 64-bit integer); None for any other text."""
    if not _WHOLE_NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if -_LARGEST <= number < _LARGEST else None


def to_text(requirements: Iterable[Requirement]) -> str:
    """Returns the selector in the string grammar: `parse` of it gives the same requirements."""
    return ",".join(_term(requirement) for requirement in requirements)


def _term(requirement: Requirement) -> str:
    key, values = requirement.key, requirement.values
    match requirement.operator:
        case "in" if len(values) == 1:
            return f"{key}={values[0]}"
        case "notin" if len(values) == 1:
            return f"{key}!={values[0]}"
        case "in" | "notin":
            return f"{key} {requirement.operator} ({','.join(values)})"
        case "exists":
            return key
        case "absent":
            return f"!{key}"
    return f"{key}{'>' if requirement.operator == 'gt' else '<'}{values[0]}"


def to_expression(requirement: Requirement) -> dict[str, Any]:
    """Returns the requirement as a matchExpression of the Kubernetes API."""
    expression: dict[str, Any] = {"key": requirement.key, "operator": _WORDS[requirement.operator]}
    if requirement.values:
        expression["values"] = list(requirement.values)
    return expression


def from_expression(key: str, operator: str, values: Sequence[str] = ()) -> Requirement:
    """Returns a matchExpression of the Kubernetes API as a requirement; FieldError says what is wrong with it."""
    ours = OPERATORS.get(operator)
    if ours is None:
        raise FieldError("selector", f"“{operator}” is not an operator. Choose from {', '.join(OPERATORS)}.")
    if problem := key_problem(key):
        raise FieldError("selector", problem)
    if ours in ("exists", "absent") and values:
        raise FieldError("selector", f"{operator} takes no values.")
    if ours in ("in", "notin") and not values:
        raise FieldError("selector", f"{operator} needs at least one value.")
    if ours in ("gt", "lt") and (len(values) != 1 or whole_number(values[0]) is None):
        raise FieldError("selector", f"{operator} needs exactly one value, a whole number.")
    for value in values if ours in ("in", "notin") else ():
        if value and not _NAME.fullmatch(value):
            text = f"“{value}” is not a label value: at most 63 letters, digits, dashes, dots and underscores."
            raise FieldError("selector", text)
    return Requirement(key, ours, tuple(values))


def checked(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """Returns the same requirements, each one that Kubernetes would accept; FieldError for the first it would not."""
    return tuple(
        from_expression(requirement.key, _WORDS[requirement.operator], requirement.values) for requirement in requirements
    )


def key_problem(key: str) -> str:
    """Returns why no label can have this key, as a sentence; empty for a good one."""
    prefix, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix))):
        return f"“{key}” is not a valid label key: write name or dns.name/name, at most 63 characters after the slash."
    return ""
