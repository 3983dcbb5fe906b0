"""Closes what the process under test keeps open between runs: a test's kubeconfig and sockets are of no use to the next."""

from __future__ import annotations

from fleet.collectors import clients


def close_clients() -> None:
    """Closes the connections to every cluster. A client that is opened after this is a new one."""
    with clients._clients_lock:
        for client in clients._clients.values():
            client.close()
        clients._clients.clear()
