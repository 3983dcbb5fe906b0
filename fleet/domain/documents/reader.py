"""A stream of YAML, or what a form sends, as fields; nothing raises on any text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import yaml

from fleet.domain.documents.fields import MOST_PROBLEMS, TAG, UNSTORABLE, Fields, Problem, line_of, note

LONGEST = 200_000
"""Characters of one stream."""
_MOST_NODES = 20_000
"""Scalars, lists and mappings of one stream: some hundred pools and classes. A web thread reads them within two seconds."""
_DEEPEST = 40


Plain: TypeAlias = str | bool | Sequence["Plain"] | Mapping[str, "Plain"]
"""The content of a field as a form sends it: texts, booleans, lists and mappings of them."""


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
        if isinstance(node, yaml.ScalarNode) and UNSTORABLE.search(node.value):
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
            if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == f"{TAG}null"):
                continue
            if isinstance(node, yaml.MappingNode):
                yield Fields(node, "", problems)
            else:
                result = "A document must be a mapping of apiVersion, kind, metadata and spec."
                note(problems, Problem(line=line_of(node), field="", text=result))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        note(problems, Problem(line=mark.line + 1 if mark else 1, field="", text=f"This is not valid YAML: {error.problem}."))
    except yaml.reader.ReaderError as error:  # a character YAML does not allow
        line = text.count("\n", 0, error.position) + 1
        note(problems, Problem(line=line, field="", text=f"This is not valid YAML: {str(error).splitlines()[0]}."))
    except (ValueError, OverflowError, RecursionError):  # input on which the library itself raises: "\UFFFFFFFF", %YAML 1.999…
        result = "This is not valid YAML: it contains an invalid character or number."
        note(problems, Problem(line=loader.line + 1 if loader else 1, field="", text=result))


def fields_of(values: Mapping[str, Plain], path: str, problems: list[Problem]) -> Fields:
    """Returns the fields of a mapping that was not written as YAML. All its problems are at line 1."""
    if _count(values) > _MOST_NODES:
        note(problems, Problem(line=1, field=path, text=f"It contains more than {_MOST_NODES:,} values."))
        values = {}
    return Fields(yaml.MappingNode(f"{TAG}map", _pairs(values), _START), path, problems)


def _count(value: Plain) -> int:
    if isinstance(value, str | bool):
        return 1
    return 1 + sum(map(_count, value.values() if isinstance(value, Mapping) else value))


_START = yaml.Mark("", 0, 0, 0, None, 0)


def _pairs(values: Mapping[str, Plain]) -> list[tuple[yaml.Node, yaml.Node]]:
    return [(_node(name), _node(value)) for name, value in values.items()]


def _node(value: Plain) -> yaml.Node:
    if isinstance(value, Mapping):
        return yaml.MappingNode(f"{TAG}map", _pairs(value), _START)
    if isinstance(value, bool):
        return yaml.ScalarNode(f"{TAG}bool", "true" if value else "false", _START)
    if isinstance(value, str):
        return yaml.ScalarNode(f"{TAG}str", value, _START)
    return yaml.SequenceNode(f"{TAG}seq", [_node(item) for item in value], _START)
