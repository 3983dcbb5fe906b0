"""YAML read field by field, so that every mistake has its line, its field and a sentence; nothing raises on any text."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, TypeAlias

import msgspec
import yaml

LONGEST = 200_000
"""Characters of one stream."""
_MOST_NODES = 20_000
"""Scalars, lists and mappings of one stream: some hundred pools and classes. A web thread reads them within two seconds."""
MOST_PROBLEMS = 100
"""Problems reported of one stream; reading stops after them."""
_UNSTORABLE = re.compile("[\\0\ud800-\udfff]")
"""Characters that YAML escapes can produce and Postgres cannot store: NUL and halves of a surrogate pair."""
_DEEPEST = 40
_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)
_TAG = "tag:yaml.org,2002:"


Plain: TypeAlias = str | bool | Sequence["Plain"] | Mapping[str, "Plain"]
"""The content of a field as a form sends it: texts, booleans, lists and mappings of them."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in a YAML stream. Lines count from 1; the field is a path such as spec.policy.taints[0].effect."""

    line: int
    field: str
    text: str

    def __str__(self) -> str:
        return f"Line {self.line}, {self.field}: {self.text}" if self.field else f"Line {self.line}: {self.text}"


class _Loader(yaml.SafeLoader):
    """Without anchors (a page of them unfolds into gigabytes), unbounded nesting and texts that cannot be stored."""

    _depth = _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not supported; repeat the value", event.start_mark)
        self._depth += 1
        self._nodes += 1
        if self._depth > _DEEPEST or self._nodes > _MOST_NODES:
            start_mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            result = "it is nested too deeply" if self._depth > _DEEPEST else f"it contains more than {_MOST_NODES:,} values"
            raise yaml.composer.ComposerError(None, None, result, start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode) and _UNSTORABLE.search(node.value):
            result = "a text contains NUL or half of a surrogate pair, which cannot be stored"
            raise yaml.composer.ComposerError(None, None, result, node.start_mark)
        return node


def documents(text: str, problems: list[Problem]) -> Iterator[Fields]:
    """Yields the mappings of a stream, in order; anything else becomes a problem."""
    if len(text) > LONGEST:
        problems.append(Problem(line=1, field="", text=f"It is longer than {LONGEST:,} characters."))
        return
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        while len(problems) < MOST_PROBLEMS and loader.check_node():
            node = loader.get_node()
            if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"):
                continue
            if isinstance(node, yaml.MappingNode):
                yield Fields(node, "", problems)
            else:
                result = "A document must be a mapping of apiVersion, kind, metadata and spec."
                _note(problems, Problem(line=_line(node), field="", text=result))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _note(problems, Problem(line=mark.line + 1 if mark else 1, field="", text=f"This is not valid YAML: {error.problem}."))
    except yaml.reader.ReaderError as error:  # a character YAML does not allow
        line = text.count("\n", 0, error.position) + 1
        _note(problems, Problem(line=line, field="", text=f"This is not valid YAML: {str(error).splitlines()[0]}."))
    except (ValueError, OverflowError, RecursionError):  # input on which the library itself raises: "\UFFFFFFFF", %YAML 1.999…
        result = "This is not valid YAML: it contains an invalid character or number."
        _note(problems, Problem(line=loader.line + 1 if loader else 1, field="", text=result))


def fields_of(values: Mapping[str, Plain], path: str, problems: list[Problem]) -> Fields:
    """Returns the fields of a mapping that was not written as YAML. All its problems are at line 1."""
    if _count(values) > _MOST_NODES:
        _note(problems, Problem(line=1, field=path, text=f"It contains more than {_MOST_NODES:,} values."))
        values = {}
    return Fields(yaml.MappingNode(f"{_TAG}map", _pairs(values), _START), path, problems)


def _count(value: Plain) -> int:
    if isinstance(value, str | bool):
        return 1
    return 1 + sum(map(_count, value.values() if isinstance(value, Mapping) else value))


_START = yaml.Mark("", 0, 0, 0, None, 0)


def _pairs(values: Mapping[str, Plain]) -> list[tuple[yaml.Node, yaml.Node]]:
    return [(_node(name), _node(value)) for name, value in values.items()]


def _node(value: Plain) -> yaml.Node:
    if isinstance(value, Mapping):
        return yaml.MappingNode(f"{_TAG}map", _pairs(value), _START)
    if isinstance(value, bool):
        return yaml.ScalarNode(f"{_TAG}bool", "true" if value else "false", _START)
    if isinstance(value, str):
        return yaml.ScalarNode(f"{_TAG}str", value, _START)
    return yaml.SequenceNode(f"{_TAG}seq", [_node(item) for item in value], _START)


def _note(problems: list[Problem], problem: Problem) -> None:
    if len(problems) == MOST_PROBLEMS - 1:
        problem = Problem(line=problem.line, field="", text="Too many problems: the rest is not listed.")
    if len(problems) < MOST_PROBLEMS:
        problems.append(problem)


class Fields:
    """The fields of one mapping. Every getter notes its field as known; `done()` reports the others."""

    def __init__(self, node: yaml.MappingNode, path: str, problems: list[Problem]) -> None:
        self.line = _line(node)
        self._path = path
        self._problems = problems
        self._known: set[str] = set()
        self._values: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if not name:
                _note(problems, Problem(line=_line(key), field=path, text="A field name must be plain text."))
            elif name in self._values:
                _note(problems, Problem(line=_line(key), field=self.path(name), text="It is written twice."))
            else:
                self._values[name] = value
                self._lines[name] = _line(key)

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def names(self) -> list[str]:
        return list(self._values)

    def wrong(self, name: str, text: str) -> None:
        """Note a problem of one field, at its line; at the mapping's where the field is not written."""
        _note(self._problems, Problem(line=self._lines.get(name, self.line), field=self.path(name), text=text))

    def _get(self, name: str) -> yaml.Node | None:
        self._known.add(name)
        node = self._values.get(name)
        return None if node is None or node.tag == f"{_TAG}null" else node

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
        if _UNSTORABLE.search(node.value):
            self.wrong(name, "Remove NUL and halves of surrogate pairs: they cannot be stored.")
            return None
        if node.tag == f"{_TAG}bool":
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
        if node.tag == f"{_TAG}bool" and node.value.lower() in ("true", "false"):
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
        _note(self._problems, Problem(line=_line(node), field=self.path(name), text=text))

    def mapping(self, name: str) -> Fields:
        """Returns the mapping under this name; an empty one where it is not written."""
        node = self._get(name)
        if node is not None and not isinstance(node, yaml.MappingNode):
            self.wrong(name, "Must be a mapping of fields.")
            node = None
        if node is None:
            where = yaml.Mark("", 0, self._lines.get(name, self.line) - 1, 0, None, 0)
            node = yaml.MappingNode(f"{_TAG}map", [], where)
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


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
