"""Fields of one mapping of YAML, each read with its line, and every mistake in them as a problem."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from datetime import date
from difflib import get_close_matches
from typing import Any

import msgspec
import yaml

MOST_PROBLEMS = 100
"""Problems reported of one stream; reading stops after them."""


UNSTORABLE = re.compile("[\\0\ud800-\udfff]")
"""Characters that YAML escapes can produce and Postgres cannot store: NUL and halves of a surrogate pair."""


_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)


TAG = "tag:yaml.org,2002:"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in a YAML stream. Lines count from 1; the field is a path such as spec.policy.taints[0].effect."""

    line: int
    field: str
    text: str

    def __str__(self) -> str:
        return f"Line {self.line}, {self.field}: {self.text}" if self.field else f"Line {self.line}: {self.text}"


def note(problems: list[Problem], problem: Problem) -> None:
    """Adds a problem, while there are not too many; the last one says that there are more."""
    if len(problems) == MOST_PROBLEMS - 1:
        problem = Problem(line=problem.line, field="", text="Too many problems: the rest is not listed.")
    if len(problems) < MOST_PROBLEMS:
        problems.append(problem)


class Fields:
    """The fields of one mapping. Every getter notes its field as known; `done()` reports the others."""

    def __init__(self, node: yaml.MappingNode, path: str, problems: list[Problem]) -> None:
        self.line = line_of(node)
        self._path = path
        self._problems = problems
        self._known: set[str] = set()
        self._values: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if not name:
                note(problems, Problem(line=line_of(key), field=path, text="A field name must be plain text."))
            elif name in self._values:
                note(problems, Problem(line=line_of(key), field=self.path(name), text="It is written twice."))
            else:
                self._values[name] = value
                self._lines[name] = line_of(key)

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def names(self) -> list[str]:
        return list(self._values)

    def wrong(self, name: str, text: str) -> None:
        """Note a problem of one field, at its line; at the mapping's where the field is not written."""
        note(self._problems, Problem(line=self._lines.get(name, self.line), field=self.path(name), text=text))

    def _get(self, name: str) -> yaml.Node | None:
        self._known.add(name)
        node = self._values.get(name)
        return None if node is None or node.tag == f"{TAG}null" else node

    def text(self, name: str, default: str = "", *, longest: int = 2000) -> str:
        node = self._get(name)
        if node is None:
            return default
        plain = self._plain(node, name)
        if plain is not None and len(plain) > longest:
            self.wrong(name, f"It is longer than {longest:,} characters.")
        return default if plain is None else plain

    def required(self, name: str) -> str:
        result = self.text(name)
        if not result and self._get(name) is None:
            self.wrong(name, "It is missing.")
        return result

    def _plain(self, node: yaml.Node, name: str) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(name, "Enter a text.")
            return None
        if UNSTORABLE.search(node.value):
            self.wrong(name, "Remove NUL and halves of surrogate pairs: they cannot be stored.")
            return None
        if node.tag == f"{TAG}bool":
            self.wrong(name, f"“{node.value}” is a boolean in YAML; put it in quotes to make it text.")
            return None
        return str(node.value)

    def whole(self, name: str, default: int | None, *, least: int = 0, most: int = 10**9) -> int | None:
        node = self._get(name)
        if node is None:
            return default
        if isinstance(node, yaml.ScalarNode) and _WHOLE.fullmatch(node.value) and least <= int(node.value) <= most:
            return int(node.value)
        self.wrong(name, f"Enter a whole number from {least:,} to {most:,}.")
        return default

    def number(self, name: str, default: float | None, *, least: float, most: float) -> float | None:
        node = self._get(name)
        if node is None:
            return default
        try:
            result = float(node.value) if isinstance(node, yaml.ScalarNode) else math.nan
        except ValueError:
            result = math.nan
        if least <= result <= most:
            return result
        self.wrong(name, f"Enter a number from {least:g} to {most:g}.")
        return default

    def truth(self, name: str, default: bool) -> bool:
        node = self._get(name)
        if node is None:
            return default
        if node.tag == f"{TAG}bool" and node.value.lower() in ("true", "false"):
            return bool(node.value.lower() == "true")
        self.wrong(name, "Enter true or false.")
        return default

    def day(self, name: str) -> date | None:
        node = self._get(name)
        if node is None:
            return None
        try:
            return date.fromisoformat(node.value if isinstance(node, yaml.ScalarNode) else "")
        except ValueError:
            self.wrong(name, "Enter a date, for example 2027-01-31.")
            return None

    def choice(self, name: str, options: Collection[str], default: str) -> str:
        result = self.text(name, default)
        if result not in options:
            self.wrong(name, f"“{result[:60]}” is none of {', '.join(options)}.")
            return default
        return result

    def texts(self, name: str, options: Collection[str] | None = None) -> tuple[str, ...]:
        """Returns a list of texts, each one once."""
        result: dict[str, None] = {}
        for position, node in enumerate(self._list(name)):
            text = self._plain(node, f"{name}[{position}]")
            if text is None:
                continue
            if options is not None and text not in options:
                self.wrong_at(node, f"{name}[{position}]", f"“{text[:60]}” is none of {', '.join(options)}.")
            elif not text or text in result:
                self.wrong_at(node, f"{name}[{position}]", "It is empty." if not text else "It is written twice.")
            else:
                result[text] = None
        return tuple(result)

    def wholes(self, name: str, *, least: int, most: int) -> tuple[int, ...]:
        rows = []
        for position, node in enumerate(self._list(name)):
            if isinstance(node, yaml.ScalarNode) and _WHOLE.fullmatch(node.value) and least <= int(node.value) <= most:
                rows.append(int(node.value))
            else:
                self.wrong_at(node, f"{name}[{position}]", f"Enter a whole number from {least:,} to {most:,}.")
        return tuple(rows)

    def wrong_at(self, node: yaml.Node, name: str, text: str) -> None:
        note(self._problems, Problem(line=line_of(node), field=self.path(name), text=text))

    def mapping(self, name: str) -> Fields:
        """Returns the mapping under this name; an empty one where it is not written."""
        node = self._get(name)
        if node is not None and not isinstance(node, yaml.MappingNode):
            self.wrong(name, "Must be a mapping of fields.")
            node = None
        if node is None:
            where = yaml.Mark("", 0, self._lines.get(name, self.line) - 1, 0, None, 0)
            node = yaml.MappingNode(f"{TAG}map", [], where)
        return Fields(node, self.path(name), self._problems)

    def mappings(self, name: str) -> Iterator[Fields]:
        for position, node in enumerate(self._list(name)):
            if isinstance(node, yaml.MappingNode):
                yield Fields(node, self.path(f"{name}[{position}]"), self._problems)
            else:
                self.wrong_at(node, f"{name}[{position}]", "Must be a mapping of fields.")

    def _list(self, name: str) -> list[yaml.Node]:
        node = self._get(name)
        if node is None:
            return []
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self.wrong(name, "Must be a list.")
        return []

    def done(self) -> None:
        """Reports every unknown field."""
        for name in self._values:
            if name not in self._known and len(self._problems) < MOST_PROBLEMS:
                near = get_close_matches(name, self._known, 1)
                hint = f" Did you mean {near[0]}?" if near else ""
                self.wrong(name, f"Unknown field.{hint}")


def line_of(node: Any) -> int:
    """Returns the line of a node of YAML, from 1."""
    return int(node.start_mark.line) + 1
