"""Every address of the URL map, with values for the objects it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.urls import URLPattern, URLResolver, get_resolver

NOBODY = {"pk": "987654", "slug": "none-such", "cluster": "none-such", "name": "none-such", "code": "79", "rung": "driver_loaded"}
NOBODY |= {"public_id": "0" * 16, "secret": "none-such", "username": "none-such", "step": "submit", "kind": "node"}


def addresses() -> Iterator[tuple[str, str]]:
    """(name, route) of every pattern that has a name."""

    def walk(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[tuple[str, str]]:
        for pattern in patterns:
            route = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            elif pattern.name:
                yield pattern.name, route

    yield from walk(get_resolver().url_patterns, "")


def filled(route: str, values: Mapping[str, str] = NOBODY) -> str:
    """Returns the path of a route, whether it is written with Django's converters or as an expression."""
    path, rest = "/", route.replace("\\Z", "").replace("^", "").replace("$", "").replace("/?", "/")
    while rest:
        if rest.startswith("<"):
            inside, _, rest = rest[1:].partition(">")
            path += values[inside.rpartition(":")[2]]
        elif rest.startswith("(?P<"):
            name, _, rest = rest[4:].partition(">")
            depth = 1
            while depth:
                depth += {"(": 1, ")": -1}.get(rest[0], 0)
                rest = rest[1:]
            path += values[name]
        else:
            path, rest = path + rest[0], rest[1:]
    return path
