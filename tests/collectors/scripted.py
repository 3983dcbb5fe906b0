"""A session whose server is a table: (path) → answers, without sockets. For fetch() of the nouns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Failure
from fleet.collectors.kube import Answer
from fleet.collectors.session import Limits, Session

Scripted = Answer | Failure | Callable[[dict[str, str], Any], Any] | bytes | dict[str, Any] | int


class Server:
    """Paths to answers: an Answer, bytes or a mapping (200), a status, a Failure, or a function of query and body."""

    def __init__(self, routes: Mapping[str, Scripted]) -> None:
        self.routes = dict(routes)
        self.asked: list[tuple[str, dict[str, str]]] = []

    def request(self, method: str, path: str, *, params: Any = (), body: Any = None, **_: Any) -> Answer:
        query = {name: str(value) for name, value in params}
        self.asked.append((path, query))
        scripted = self.routes.get(path, 404)
        if callable(scripted):
            scripted = scripted(query, body)
        if isinstance(scripted, Failure):
            raise scripted
        if isinstance(scripted, Answer):
            return scripted
        if isinstance(scripted, int):
            text = {404: b"404 page not found\n", 403: b'{"kind":"Status","message":"forbidden: User \\"muster\\" cannot"}'}
            return Answer(scripted, {}, text.get(scripted, b""))
        return Answer(200, {}, scripted if isinstance(scripted, bytes) else json.dumps(scripted).encode())

    def find_host(self, deadline: Deadline) -> None:
        pass

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


def session(server: Server, seconds: float = 50.0, **limits: Any) -> Session:
    return Session(server, Deadline(seconds), Limits(**limits), lambda _: None, lambda: 0.5)  # type: ignore[arg-type]
