"""Parses the Common Expression Language as device selectors use it, into small tuples."""

from __future__ import annotations

import re
from typing import Any

MAX_LENGTH = 10 * 1024
"""Kubernetes takes no longer expression in a selector."""
_MAX_DEPTH = 40
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
      | (?P<int>0x[0-9a-fA-F]+|\d+)(?P<unsigned>[uU])?
      | (?P<string>[rR]?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
      | (?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
      | (?P<operator>\[\?|\.\?|&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])
    )""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_BINARY = (("||",), ("&&",), ("<", "<=", ">=", ">", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))

Node = tuple[Any, ...]
"""Kind first: literal, name, select, index, call, list, map, unary, binary, ternary."""


class UnsupportedError(ValueError):
    """The expression uses what is not known here; what it selects is unknown."""


def parse(text: str) -> Node:
    """Returns the tree of an expression. Raises UnsupportedError for what is too long, too deep or not understood."""
    if len(text) > MAX_LENGTH:
        raise UnsupportedError("The expression is longer than Kubernetes accepts.")
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[tuple[str, Any]]:
    tokens: list[tuple[str, Any]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise UnsupportedError(f"The expression is not understood from “{text[position : position + 20].strip()}” on.")
        position = match.end()
        if match["double"] is not None:
            tokens.append(("literal", float(match["double"])))
        elif match["int"] is not None:
            tokens.append(("literal", int(match["int"], 0 if match["int"].startswith("0x") else 10)))
        elif match["string"] is not None:
            tokens.append(("literal", _unquote(match["string"])))
        elif match["name"] is not None:
            tokens.append(("operator" if match["name"] == "in" else "name", match["name"]))
        else:
            tokens.append(("operator", match["operator"]))
    return tokens


def _unquote(text: str) -> str:
    if text[0] in "rR":
        return text[2:-1]
    return _ESCAPE.sub(_unescape, text[1:-1])


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    if code in _ESCAPES:
        return _ESCAPES[code]
    if code in "\\'\"`?":
        return code
    raise UnsupportedError(f"The escape \\{code} is not understood.")


class _Parser:
    def __init__(self, tokens: list[tuple[str, Any]]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    def whole(self) -> Node:
        tree = self._expression()
        if self._position < len(self._tokens):
            raise UnsupportedError(f"The expression is not understood from “{self._tokens[self._position][1]}” on.")
        return tree

    def _take(self, *operators: str) -> str:
        """Returns the next operator if it is one of these, and moves past it; else empty text."""
        if self._position < len(self._tokens):
            kind, value = self._tokens[self._position]
            if kind == "operator" and value in operators:
                self._position += 1
                return str(value)
        return ""

    def _expect(self, operator: str) -> None:
        if not self._take(operator):
            raise UnsupportedError(f"“{operator}” is missing in the expression.")

    def _name(self) -> str:
        if self._position < len(self._tokens) and self._tokens[self._position][0] == "name":
            self._position += 1
            return str(self._tokens[self._position - 1][1])
        raise UnsupportedError("A name is missing in the expression.")

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise UnsupportedError("The expression is nested too deep.")
        tree = self._binary(0)
        if self._take("?"):
            yes = self._binary(0)
            self._expect(":")
            tree = ("ternary", tree, yes, self._expression())
        self._depth -= 1
        return tree

    def _binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        tree = self._binary(level + 1)
        length = 0
        while operator := self._take(*_BINARY[level]):
            length += 1
            if length > 200:  # the tree is as deep as the chain is long
                raise UnsupportedError("The expression has too many terms.")
            tree = ("binary", operator, tree, self._binary(level + 1))
        return tree

    def _unary(self) -> Node:
        operators = ""
        while operator := self._take("!", "-"):
            operators += operator
        if len(operators) > _MAX_DEPTH:
            raise UnsupportedError("The expression is nested too deep.")
        tree = self._member()
        for operator in reversed(operators):
            tree = ("unary", operator, tree)
        return tree

    def _member(self) -> Node:
        tree = self._primary()
        for _ in range(_MAX_DEPTH):
            operator = self._take(".", ".?", "[", "[?")
            if not operator:
                return tree
            if operator in (".", ".?"):
                name = self._name()
                if operator == "." and self._take("("):
                    tree = ("call", tree, name, self._arguments(")"))
                else:
                    tree = ("select", tree, name, operator == ".?")
            else:
                index = self._expression()
                self._expect("]")
                tree = ("index", tree, index, operator == "[?")
        raise UnsupportedError("The expression is nested too deep.")

    def _primary(self) -> Node:
        if self._take("("):
            tree = self._expression()
            self._expect(")")
            return tree
        if self._take("["):
            return ("list", self._arguments("]"))
        if self._take("{"):
            return ("map", self._entries())
        if self._position >= len(self._tokens):
            raise UnsupportedError("The expression ends too early.")
        kind, value = self._tokens[self._position]
        if kind == "literal":
            self._position += 1
            return ("literal", value)
        name = self._name()
        if name in ("true", "false", "null"):
            return ("literal", {"true": True, "false": False, "null": None}[name])
        if self._take("("):
            return ("call", None, name, self._arguments(")"))
        return ("name", name)

    def _entries(self) -> tuple[tuple[Node, Node], ...]:
        entries: list[tuple[Node, Node]] = []
        while not self._take("}"):
            if entries:
                self._expect(",")
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression()))
        return tuple(entries)

    def _arguments(self, closing: str) -> tuple[Node, ...]:
        arguments: list[Node] = []
        while not self._take(closing):
            if arguments:
                self._expect(",")
            arguments.append(self._expression())
        return tuple(arguments)
