"""Kubernetes' label selector grammar: `a=b, c!=d, e in (f,g), h notin (i), j, !k, l>5`."""

from __future__ import annotations

import re

import msgspec

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


class Requirement(msgspec.Struct, frozen=True):
    """One term. `operator` is in, notin, exists, absent, gt or lt, as Kubernetes names them; all terms must hold."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class SelectorError(ValueError):
    """The text is no selector; the message says where it stops making sense."""


def parse(text: str) -> tuple[Requirement, ...]:
    """The requirements of a selector, in their order. An empty text has none and matches everything."""
    found: list[Requirement] = []
    position = 0
    while position < len(text) and text[position:].strip():
        term = _TERM.match(text, position)
        if term is None or term.end() == position:
            raise SelectorError(f"“{text[position:].strip()}” is no label selector: write key=value, key in (a,b) or !key.")
        found.append(_requirement(term))
        position = term.end()
    return tuple(found)


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
            if not re.fullmatch(r"-?\d+", term["value"]):
                raise SelectorError(f"“{key}{operator}{term['value']}” compares with no whole number.")
            return Requirement(key, "gt" if operator == ">" else "lt", (term["value"],))
