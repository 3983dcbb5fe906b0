"""What slow and idle clients cost every other client: a whole `manage.py run`, pages of a signed-in user, and both probes.

`make slow-clients`, about three minutes: prints a line for each load and writes $MUSTER_HOME/bench/slow_clients.json. Each load
lies between two rests without other clients: `times` is how many times longer pages take with it, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import http.cookiejar
import json
import os
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench.reliability import Installation
from tests.embedded.helpers import ROOT, free_port

PAGES = ("/", "/nodes/", "/findings/")
PAUSE_S = 0.2
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
LOADS: dict[str, tuple[int, bytes, bytes]] = {
    "200 idle keep-alives": (200, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
    "200 slow headers": (200, HEAD, b"X-A: a\r\n"),
    "200 slow bodies": (200, BODY, b"a"),
    "1,000 idle": (1_000, b"", b""),
}
"""Load to number of connections, what each sends at once, and what it sends again each second."""


@contextlib.contextmanager
def clients(port: int, number: int, first: bytes, again: bytes) -> Iterator[None]:
    """Connections that send `again` each second, and connect again where they were closed."""
    over = threading.Event()
    connections: list[socket.socket | None] = [None] * number

    def keep() -> None:
        while not over.is_set():
            for place, client in enumerate(connections):
                try:
                    if client is None:
                        connections[place] = client = socket.create_connection(("127.0.0.1", port), timeout=5)
                        client.sendall(first)
                    elif again:
                        client.sendall(again)
                except OSError:
                    connections[place] = None
            over.wait(1)

    keeper = threading.Thread(target=keep)
    keeper.start()
    time.sleep(3 if number else 0)
    try:
        yield
    finally:
        over.set()
        keeper.join()
        for client in connections:
            if client is not None:
                client.close()


def signed_in(installation: Installation) -> urllib.request.OpenerDirector:
    """Returns an opener whose session is that of the owner."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    link = re.findall(r"https?://\S+/sign-in/\S+", installation.printed())[-1]
    form = opener.open(link, timeout=30).read().decode()
    action = re.search(r'<form[^>]*method="post"[^>]*>', form)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    where = re.search(r'action="([^"]+)"', action[0]) if action else None
    target = urllib.parse.urljoin(link, where[1]) if where else link
    opener.open(target, urllib.parse.urlencode(fields).encode(), timeout=30).read()
    return opener


def timed(act: Callable[[], Any]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def measure(installation: Installation, health: int, opener: urllib.request.OpenerDirector, seconds: float) -> dict[str, Any]:
    pages: list[float] = []
    probes: dict[int, list[float]] = {installation.port: [], health: []}
    failed = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for path in PAGES:
            try:
                pages.append(
                    timed(lambda path=path: opener.open(f"http://127.0.0.1:{installation.port}{path}", timeout=30).read())
                )
            except OSError:
                failed += 1
        for port, took in probes.items():
            try:
                took.append(
                    timed(lambda port=port: urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30).read())
                )
            except OSError:
                failed += 1
        time.sleep(PAUSE_S)
    return {
        "requests": len(pages),
        "failed": failed,
        "pages_p50_ms": round(statistics.median(pages) * 1000),
        "pages_p95_ms": round(statistics.quantiles(pages, n=20)[-1] * 1000),
        "healthz_same_port_slowest_ms": round(max(probes[installation.port]) * 1000),
        "healthz_own_port_slowest_ms": round(max(probes[health]) * 1000),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.slow_clients")
    parser.add_argument("--seconds", type=float, default=15, help="for each load (15)")
    seconds = parser.parse_args().seconds
    health = free_port()
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="muster-slow-") as folder:
        installation = Installation(Path(folder).resolve() / "home", MUSTER_HEALTH_PORT=str(health))
        with installation.running():
            opener = signed_in(installation)
            measure(installation, health, opener, 5)  # the first requests build what later ones find
            before = measure(installation, health, opener, seconds / 2)
            for name, load in LOADS.items():
                with clients(installation.port, *load):
                    under = measure(installation, health, opener, seconds)
                after = measure(installation, health, opener, seconds / 2)
                rest = statistics.mean(each["pages_p95_ms"] for each in (before, after))
                rows[name] = {**under, "rest_p95_ms": round(rest), "times": round(under["pages_p95_ms"] / rest, 2)}
                rows[name]["load_average"] = round(os.getloadavg()[0], 1)
                before = after
                sys.stdout.write(f"{name:<22} {json.dumps(rows[name])}\n")
                sys.stdout.flush()
    place = Path(os.environ.get("MUSTER_HOME") or ROOT / "var") / "bench"
    place.mkdir(parents=True, exist_ok=True)
    (place / "slow_clients.json").write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
