"""Macros of CEL over lists and maps, with one variable or two (index and value, key and value)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fleet.domain.dra.cel_operators import boolean
from fleet.domain.dra.cel_parser import Node, UnsupportedError
from fleet.domain.dra.cel_values import CelError

ONE_VARIABLE = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
TWO_VARIABLES = frozenset({"all", "exists", "exists_one", "existsOne", "transformList", "transformMap"})

Bind = Callable[[dict[str, Any], Node], Any]
"""Evaluates an expression with more variables."""


def is_macro(name: str, arguments: tuple[Node, ...]) -> bool:
    """Returns whether a call of this name with these arguments is a macro over its target."""
    names = [argument[1] for argument in arguments[:2] if argument[0] == "name"]
    if _has_two(name, arguments):
        return len(names) == 2 and names[0] != names[1]
    return name in ONE_VARIABLE and arguments[:1] != () and arguments[0][0] == "name"


def _has_two(name: str, arguments: tuple[Node, ...]) -> bool:
    if name.startswith("transform"):
        return name in TWO_VARIABLES and len(arguments) in (3, 4)
    return name in TWO_VARIABLES and len(arguments) == 3


def comprehend(container: Any, name: str, arguments: tuple[Node, ...], bind: Bind) -> Any:
    """Returns what the macro makes of the container."""
    if not isinstance(container, list | Mapping):
        raise CelError("no such overload")
    two = _has_two(name, arguments)
    rest = arguments[2 if two else 1 :]
    scopes = _scopes(container, [argument[1] for argument in arguments[: 2 if two else 1]])
    if name == "transformMap":
        keys = list(container) if isinstance(container, Mapping) else range(len(container))
        return {key: bind(scope, rest[-1]) for key, scope in zip(keys, scopes, strict=True) if _kept(scope, rest, bind)}
    if name in ("map", "transformList"):
        return [bind(scope, rest[-1]) for scope in scopes if _kept(scope, rest, bind)]
    if len(rest) != 1:
        raise UnsupportedError(f"{name}() is not understood.")
    if name == "filter":
        return [next(iter(scope.values())) for scope in scopes if boolean(bind(scope, rest[0]))]
    if name in ("exists_one", "existsOne"):
        return sum(1 for scope in scopes if boolean(bind(scope, rest[0]))) == 1
    return _decided(scopes, rest[0], bind, decisive=name == "exists")


def _kept(scope: dict[str, Any], rest: tuple[Node, ...], bind: Bind) -> bool:
    if len(rest) > 2:
        raise UnsupportedError("The macro has too many arguments.")
    return len(rest) == 1 or boolean(bind(scope, rest[0]))


def _scopes(container: Any, variables: list[str]) -> Iterator[dict[str, Any]]:
    if len(variables) == 1:
        return ({variables[0]: item} for item in list(container))
    pairs = container.items() if isinstance(container, Mapping) else enumerate(container)
    return (dict(zip(variables, pair, strict=True)) for pair in list(pairs))


def _decided(scopes: Iterator[dict[str, Any]], predicate: Node, bind: Bind, *, decisive: bool) -> bool:
    """One decisive item decides; else an error of any item is the result."""
    error: Exception | None = None
    for scope in scopes:
        try:
            if boolean(bind(scope, predicate)) is decisive:
                return decisive
        except CelError as problem:
            error = problem
    if error is not None:
        raise error
    return not decisive
