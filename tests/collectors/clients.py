"""Clients of scripted servers: how they are made and asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.collectors import kube
from fleet.collectors.connections import list_connections
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Asked, Failure
from fleet.collectors.kube import Client
from tests.collectors.fake_api import Reply, Seen

ASKED = Asked(verb="list", resource="nodes")
OK = {"/": Reply({"ok": True})}


def client_for(path: Path) -> Client:
    (connection,) = list_connections(str(path), [], False)
    return Client(connection)


def ask(client: Client, path: str = "/", seconds: float = 10.0, max_bytes: int = 10**6, **more: Any) -> kube.Answer:
    deadline = Deadline(seconds)
    return client.request("GET", path, asked=ASKED, deadline=deadline, timeout_s=seconds, max_bytes=max_bytes, **more)


def failure_of(client: Client, **more: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        ask(client, **more)
    return caught.value


def wants(token: str) -> Any:
    """A route that accepts one bearer token."""

    def answer(seen: Seen) -> Reply:
        accepted = seen.headers.get("authorization") == f"Bearer {token}"
        return Reply({"ok": True}) if accepted else Reply({"kind": "Status", "message": "Unauthorized"}, 401)

    return answer
