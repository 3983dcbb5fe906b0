"""The web server: waitress behind a gate. It imports the application at once and opens the port only after the gate opens.

Importing takes seconds, and the page must not open before the first collection is done: so both happen at the same time.
The gate is a pipe; closing its other end opens it, for this process and for each that is started in its place.

Waitress reads requests and writes answers in one event loop and gives a thread only to a request that has arrived whole:
idle connections, or ones that send their header or body byte by byte, use a file descriptor and no thread.

Probes have a listener and an event loop of their own: clients of the first cannot block /healthz at the second.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from waitress.server import create_server
from waitress.task import ThreadedTaskDispatcher

from fleet.embedded import hostile_clients

APPLICATION = "fleet.config.wsgi"
OPTIONS: dict[str, Any] = {
    "threads": 8,
    "connection_limit": 1_000,
    "channel_timeout": 30,  # seconds without a byte in either direction
    "cleanup_interval": 1,
    "max_request_header_size": 64 * 1024,
    "max_request_body_size": 16 * 2**20,
    "ident": None,  # no Server header
    "asyncore_use_poll": True,
    "clear_untrusted_proxy_headers": False,  # X-Forwarded-Proto and -For are believed only with BEHIND_TLS
}
SWITCH_S = 0.0005
"""How long a page may hold the interpreter's lock while the event loop waits for it (Python: 5 ms).

The loop takes the lock again after each read and write, so that the default adds 5 ms to each of them while a page is rendered.
With two users at once on a busy machine the median answer was 10 to 49 % faster in four comparisons; CPU time was the same.
"""
PROBES = ("/healthz", "/readyz")
PROBE_THREADS = 2
PROBE_OPTIONS: dict[str, Any] = {
    **OPTIONS,
    "threads": PROBE_THREADS,
    "connection_limit": 100,
    "channel_timeout": 3,
    "max_request_header_size": 8 * 1024,
    "max_request_body_size": 1024,
}
PROBE_REQUEST_S = 3.0
_NOT_A_PROBE = [
    ("Content-Type", "text/plain"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Dispatcher(ThreadedTaskDispatcher):
    """Gives probes threads of their own: they are answered while every other thread waits for a blocked database."""

    def __init__(self) -> None:
        super().__init__()
        self.probes = ThreadedTaskDispatcher()
        self.probes.set_thread_count(PROBE_THREADS)

    def add_task(self, task: Any) -> None:
        """Queues an HTTP channel with a complete first request."""
        # What could not be parsed has no path.
        path = getattr(task.requests[0], "path", "") if getattr(task, "requests", None) else ""
        if path in PROBES:
            self.probes.add_task(task)
        else:
            super().add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        self.probes.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))


def main() -> None:
    """`python -m fleet.embedded.web GATE PORT PROBES`: inherited descriptors, of the gate and of two listening sockets.

    Or `python -m fleet.embedded.web ADDRESS ADDRESS`, two of HOST:PORT that are opened at once, as the image does. The second is
    that of probes.
    """
    hostile_clients.allow_open_files()
    module = importlib.import_module(APPLICATION)
    importlib.import_module(module.__name__.rpartition(".")[0] + ".urls")  # or the first request would wait for it
    if len(sys.argv) == 3:
        serve(module.application, *(_open(address) for address in sys.argv[1:]))
        return
    gate = int(sys.argv[1])
    os.read(gate, 1)
    os.close(gate)
    serve(module.application, *(socket.socket(fileno=int(number)) for number in sys.argv[2:]))


def serve(application: Application, listening: socket.socket, probes: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT; requests that have arrived are answered first."""
    sys.setswitchinterval(SWITCH_S)
    dispatcher = Dispatcher()
    dispatcher.set_thread_count(OPTIONS["threads"])
    server = create_server(application, sockets=[listening], _dispatcher=dispatcher, **OPTIONS)
    hostile_clients.bound(server)
    health = create_server(probes_alone(application), sockets=[probes], **PROBE_OPTIONS)
    hostile_clients.bound(health, PROBE_REQUEST_S)

    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=health.run, name="probes", daemon=True).start()
    with contextlib.suppress(SystemExit, KeyboardInterrupt):
        server.run()
    server.close()


def probes_alone(application: Application) -> Application:
    """Returns an application that answers probes as `application` does, and anything else with 404."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in PROBES:
            return application(environ, start_response)
        start_response("404 Not Found", _NOT_A_PROBE)
        return [b"Only /healthz and /readyz are answered here.\n"]

    return answer


def _open(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_server((host, int(port)), backlog=512)


if __name__ == "__main__":
    main()
