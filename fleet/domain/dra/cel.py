"""Evaluates the Common Expression Language over one device, with the semantics that matter to the scheduler.

A missing key is an error, which `&&` and `||` absorb where the other side decides; different types are never equal, and
comparing them is an error; booleans are no numbers. What is not known here is UnsupportedError: unknown, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from fleet.domain.dra.cel_functions import FUNCTIONS, METHODS
from fleet.domain.dra.cel_parser import Node, UnsupportedError, parse
from fleet.domain.dra.cel_values import CelError, Optional, is_number

__all__ = ["CelError", "UnsupportedError", "evaluate"]

_MAX_STEPS = 20_000
_INT64 = 2**63


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
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise UnsupportedError("The expression takes too many steps.")
        handler: Callable[[Node], Any] = getattr(self, f"_{node[0]}")
        return handler(node)

    def _literal(self, node: Node) -> Any:
        return node[1]

    def _name(self, node: Node) -> Any:
        if node[1] not in self._variables:
            raise UnsupportedError(f"“{node[1]}” is not known.")
        return self._variables[node[1]]

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
            return not _boolean(operand)
        if not is_number(operand):
            raise CelError("no such overload")
        return _within(-operand)

    def _ternary(self, node: Node) -> Any:
        return self.value(node[2] if _boolean(self.value(node[1])) else node[3])

    def _binary(self, node: Node) -> Any:
        operator = node[1]
        if operator in ("&&", "||"):
            return self._logical((node[2], node[3]), decisive=operator == "||")
        left, right = self.value(node[2]), self.value(node[3])
        match operator:
            case "==":
                return equal(left, right)
            case "!=":
                return not equal(left, right)
            case "in":
                if isinstance(right, list):
                    return any(equal(left, item) for item in right)
                if isinstance(right, Mapping):
                    return left in right
                raise CelError("no such overload")
            case "<" | "<=" | ">" | ">=":
                return _compare(operator, left, right)
        return _arithmetic(operator, left, right)

    def _logical(self, sides: Iterable[Node], *, decisive: bool) -> bool:
        """One decisive side decides, whatever the other is; else an error of either side is the result."""
        error: Exception | None = None
        for side in sides:
            try:
                if _boolean(self.value(side)) is decisive:
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
            return function(*(self.value(argument) for argument in arguments))
        if target[0] == "name" and target[1] not in self._variables:
            return self._namespaced(f"{target[1]}.{name}", arguments)
        if name in ("all", "exists", "exists_one", "map", "filter") and arguments and arguments[0][0] == "name":
            return self._comprehension(self.value(target), name, arguments)
        if name in ("optMap", "optFlatMap") and len(arguments) == 2 and arguments[0][0] == "name":
            return self._mapped(self.value(target), arguments, flat=name == "optFlatMap")
        method = METHODS.get((name, len(arguments)))
        if method is None:
            raise UnsupportedError(f"The function {name} is not known.")
        return method(self.value(target), *(self.value(argument) for argument in arguments))

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
        saved = self._variables
        self._variables = {**saved, variable: value}
        try:
            return self.value(body)
        finally:
            self._variables = saved

    def _comprehension(self, container: Any, name: str, arguments: tuple[Node, ...]) -> Any:
        if not isinstance(container, list | Mapping):
            raise CelError("no such overload")
        variable, items = arguments[0][1], list(container)
        if name == "map":
            if len(arguments) == 3:
                items = [item for item in items if _boolean(self._with(variable, item, arguments[1]))]
            return [self._with(variable, item, arguments[-1]) for item in items]
        if len(arguments) != 2:
            raise UnsupportedError(f"{name}() is not understood.")
        if name == "filter":
            return [item for item in items if _boolean(self._with(variable, item, arguments[1]))]
        if name == "exists_one":
            return sum(1 for item in items if _boolean(self._with(variable, item, arguments[1]))) == 1
        decisive = name == "exists"
        error: Exception | None = None
        for item in items:
            try:
                if _boolean(self._with(variable, item, arguments[1])) is decisive:
                    return decisive
            except CelError as problem:
                error = problem
        if error is not None:
            raise error
        return not decisive


def equal(left: Any, right: Any) -> bool:
    """Returns whether two values are equal: numbers by their amount, everything else only within its own type."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(first, second) for first, second in zip(left, right, strict=True))
    return type(left) is type(right) and bool(left == right)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise CelError("no such overload")


def _compare(operator: str, left: Any, right: Any) -> bool:
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


def _arithmetic(operator: str, left: Any, right: Any) -> Any:
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return _joined(left + right)
    if operator == "+" and isinstance(left, list) and isinstance(right, list):
        return _joined(left + right)
    if not is_number(left) or type(left) is not type(right):
        raise CelError("no such overload")
    match operator:
        case "+":
            return _within(left + right)
        case "-":
            return _within(left - right)
        case "*":
            return _within(left * right)
    if right == 0:
        raise CelError("division by zero" if operator == "/" else "modulus by zero")
    if isinstance(left, float):
        if operator == "%":
            raise CelError("no such overload")
        return left / right
    quotient = abs(left) // abs(right)
    quotient = quotient if (left < 0) == (right < 0) else -quotient
    return quotient if operator == "/" else left - right * quotient


def _within(number: Any) -> Any:
    if isinstance(number, int) and not -_INT64 <= number < _INT64:
        raise CelError("integer overflow")
    return number


def _joined(value: Any) -> Any:
    if len(value) > 10_000:
        raise UnsupportedError("A value of the expression grows too long.")
    return value
