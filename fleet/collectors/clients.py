"""The clients of this process: one per connection, kept between runs with its open sockets."""

from __future__ import annotations

import os
import threading

from fleet.collectors.connections import Connection
from fleet.collectors.kube import Client

_clients: dict[Connection, Client] = {}
_clients_lock = threading.Lock()


def open_client(connection: Connection) -> Client:
    """Returns the process's client for a connection. Nothing is read or opened before its first request."""
    with _clients_lock:
        return _clients.setdefault(connection, Client(connection))


def _forget() -> None:
    """A forked worker must not share its parent's sockets: two processes would read each other's answers."""
    global _clients_lock
    _clients.clear()
    _clients_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
