"""Evaluates the Common Expression Language over one device, with the semantics that matter to the scheduler.

A missing key is an error, which `&&` and `||` absorb where the other side decides; different types are never equal, and
comparing them is an error; booleans are no numbers. What is not known here is UnsupportedError: unknown, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from fleet.domain.dra import cel_network
from fleet.domain.dra.cel_functions import FUNCTIONS, METHODS
from fleet.domain.dra.cel_lists import NAMESPACED
from fleet.domain.dra.cel_macros import comprehend, is_macro
from fleet.domain.dra.cel_operators import arithmetic, boolean, equal, ordered, within
from fleet.domain.dra.cel_parser import Node, UnsupportedError, parse
from fleet.domain.dra.cel_values import CelError, Optional, is_number

__all__ = ["CelError", "UnsupportedError", "evaluate"]

_MAX_STEPS = 20_000


@lru_cache(maxsize=512)
def _parsed(text: str) -> Node | UnsupportedError:
    try:
        return parse(text)
    except UnsupportedError as problem:
        return problem


def evaluate(text: str, variables: Mapping[str, Any]) -> Any:
    """Returns the value of an expression. Raises CelError as the language does, UnsupportedError where it is not understood."""
    tree = _parsed(text)
    if isinstance(tree, UnsupportedError):
        raise UnsupportedError(str(tree))
    return _Evaluation(dict(variables)).value(tree)


class _Evaluation:
    def __init__(self, variables: dict[str, Any]) -> None:
        self._variables = variables
        self._steps = 0

    def value(self, node: Node) -> Any:
        self._charge(1)
        handler: Callable[[Node], Any] = getattr(self, f"_{node[0]}")
        return handler(node)

    def _charge(self, steps: int) -> None:
        self._steps += steps
        if self._steps > _MAX_STEPS:
            raise UnsupportedError("The expression takes too many steps.")

    def _operands(self, nodes: Iterable[Node]) -> list[Any]:
        """Returns the values; long lists cost what going through them takes."""
        values = [self.value(node) for node in nodes]
        self._charge(sum(len(value) for value in values if isinstance(value, list)))
        return values

    def _literal(self, node: Node) -> Any:
        return node[1]

    def _name(self, node: Node) -> Any:
        if node[1] not in self._variables:
            raise UnsupportedError(f"“{node[1]}” is not known.")
        value = self._variables[node[1]]
        if isinstance(value, UnsupportedError):
            raise value
        return value

    def _map(self, node: Node) -> Any:
        entries: dict[str, Any] = {}
        for key_node, value_node in node[1]:
            key = self.value(key_node)
            if not isinstance(key, str):
                raise UnsupportedError("A map with keys that are not text is not evaluated here.")
            if key in entries:
                raise CelError("Failed with repeated key")
            entries[key] = self.value(value_node)
        return entries

    def _list(self, node: Node) -> Any:
        return [self.value(item) for item in node[1]]

    def _select(self, node: Node) -> Any:
        return self._look_up(self.value(node[1]), node[2], optional=node[3])

    def _index(self, node: Node) -> Any:
        return self._look_up(self.value(node[1]), self.value(node[2]), optional=node[3])

    def _look_up(self, container: Any, key: Any, *, optional: bool) -> Any:
        chained = isinstance(container, Optional)
        if isinstance(container, Optional):
            if not container.present:
                return container
            container = container.value
        if isinstance(container, list):
            if not is_number(key):
                raise CelError("unsupported index type")
            present = 0 <= key < len(container) and key == int(key)
            value = container[int(key)] if present else None
        elif isinstance(container, Mapping):
            if not isinstance(key, str):
                raise CelError("no such overload")
            present = key in container or hasattr(container, "__missing__")
            value = container[key] if present else None
        else:
            raise CelError("no such overload")
        if optional or chained:
            return Optional(present=present, value=value)
        if not present:
            raise CelError(f"no such key: {key}" if isinstance(container, Mapping) else f"index out of bounds: {key}")
        if isinstance(value, UnsupportedError):
            raise value
        return value

    def _unary(self, node: Node) -> Any:
        operand = self.value(node[2])
        if node[1] == "!":
            return not boolean(operand)
        if not is_number(operand):
            raise CelError("no such overload")
        return within(-operand)

    def _ternary(self, node: Node) -> Any:
        return self.value(node[2] if boolean(self.value(node[1])) else node[3])

    def _binary(self, node: Node) -> Any:
        operator = node[1]
        if operator in ("&&", "||"):
            return self._logical((node[2], node[3]), decisive=operator == "||")
        left, right = self._operands(node[2:4])
        match operator:
            case "==":
                return equal(left, right)
            case "!=":
                return not equal(left, right)
            case "in":
                if isinstance(right, list):
                    return any(equal(left, item) for item in right)
                if isinstance(right, Mapping) and isinstance(left, str):
                    return left in right
                raise CelError("no such overload")
            case "<" | "<=" | ">" | ">=":
                return ordered(operator, left, right)
        return arithmetic(operator, left, right)

    def _logical(self, sides: Iterable[Node], *, decisive: bool) -> bool:
        """One decisive side decides, whatever the other is; else an error of either side is the result."""
        error: Exception | None = None
        for side in sides:
            try:
                if boolean(self.value(side)) is decisive:
                    return decisive
            except (CelError, UnsupportedError) as problem:
                error = error if isinstance(error, UnsupportedError) else problem
        if error is not None:
            raise error
        return not decisive

    def _call(self, node: Node) -> Any:
        target, name, arguments = node[1], node[2], node[3]
        if target is None:
            if name == "has":
                return self._has(arguments)
            function = FUNCTIONS.get((name, len(arguments)))
            if function is None:
                raise UnsupportedError(f"The function {name} is not known.")
            return function(*self._operands(arguments))
        if target[0] == "name" and target[1] not in self._variables:
            return self._namespaced(f"{target[1]}.{name}", arguments)
        if is_macro(name, arguments):
            return comprehend(self.value(target), name, arguments, self._bound)
        if name in ("optMap", "optFlatMap") and len(arguments) == 2 and arguments[0][0] == "name":
            return self._mapped(self.value(target), arguments, flat=name == "optFlatMap")
        method = METHODS.get((name, len(arguments)))
        if method is None:
            raise UnsupportedError(f"The function {name} is not known.")
        return method(*self._operands((target, *arguments)))

    def _has(self, arguments: tuple[Node, ...]) -> bool:
        if len(arguments) != 1 or arguments[0][0] != "select":
            raise UnsupportedError("has() is not understood.")
        container = self.value(arguments[0][1])
        if not isinstance(container, Mapping):
            raise CelError("no such overload")
        return arguments[0][2] in container

    def _namespaced(self, name: str, arguments: tuple[Node, ...]) -> Any:
        if name == "cel.bind" and len(arguments) == 3 and arguments[0][0] == "name":
            return self._with(arguments[0][1], self.value(arguments[1]), arguments[2])
        if name == "optional.of" and len(arguments) == 1:
            return Optional(present=True, value=self.value(arguments[0]))
        if name == "optional.none" and not arguments:
            return Optional(present=False)
        if name == "ip.isCanonical" and len(arguments) == 1:
            return cel_network.is_canonical(self.value(arguments[0]))
        if (name, len(arguments)) in NAMESPACED:
            return NAMESPACED[name, len(arguments)](*self._operands(arguments))
        raise UnsupportedError(f"The function {name} is not known.")

    def _mapped(self, value: Any, arguments: tuple[Node, ...], *, flat: bool) -> Optional:
        """Returns the optional with its value mapped, if it has one."""
        if not isinstance(value, Optional):
            raise CelError("no such overload")
        if not value.present:
            return value
        mapped = self._with(arguments[0][1], value.value, arguments[1])
        if not flat:
            return Optional(present=True, value=mapped)
        if not isinstance(mapped, Optional):
            raise CelError("no such overload")
        return mapped

    def _with(self, variable: str, value: Any, body: Node) -> Any:
        return self._bound({variable: value}, body)

    def _bound(self, more: dict[str, Any], body: Node) -> Any:
        saved = self._variables
        self._variables = {**saved, **more}
        try:
            return self.value(body)
        finally:
            self._variables = saved
