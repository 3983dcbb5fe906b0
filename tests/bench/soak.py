"""Fifty viewers for an hour: do memory, connections, tables or logs grow without end?

`make soak`, MINUTES (60) of a whole `manage.py run` over the simulated fleet: prints a line a minute and figures, and writes
$MUSTER_HOME/bench/soak.json.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from fleet.embedded import paths
from tests.bench.reliability import Installation

VIEWERS = 50
PAUSE_S = 10.0
"""Between two pages of one viewer: pages refresh themselves more seldom."""
PAGES = (
    "/",
    "/nodes/",
    "/findings/",
    "/clusters/",
    "/history/",
    "/incidents/",
    "/pools/",
    "/classes/",
    "/api/v1/nodes/",
    "/metrics",
)
PARTS = {
    "web": "fleet.embedded.web",
    "worker": "celery worker",
    "beat": "celery beat",
    "Valkey": "valkey-server",
    "Postgres": "postgres",
}


class Viewers:
    """Signed-in browsers, each with a thread of its own."""

    def __init__(self, installation: Installation) -> None:
        self.base = f"http://127.0.0.1:{installation.port}"
        self.cookie = _sign_in(installation)
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._view, args=(number,), daemon=True) for number in range(VIEWERS)]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def _view(self, number: int) -> None:
        self.stopped.wait(PAUSE_S * number / VIEWERS)
        turn = number
        while not self.stopped.is_set():
            path, began = PAGES[turn % len(PAGES)], time.monotonic()
            request = urllib.request.Request(self.base + path, headers={"Cookie": self.cookie})
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    answer.read()
                    self.statuses[str(answer.status)] += 1
            except urllib.error.HTTPError as error:
                self.statuses[f"{error.code} {path}"] += 1
            except OSError as error:
                self.statuses[f"{type(error).__name__} {path}"] += 1
            self.seconds.append(time.monotonic() - began)
            turn += 1
            self.stopped.wait(PAUSE_S)


def _sign_in(installation: Installation) -> str:
    """Redeems the one-time link and returns the Cookie header."""
    link = re.findall(r"http://\S+/sign-in/\S+", installation.printed())[-1]
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = opener.open(link).read().decode()
    token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[0]
    body = urllib.parse.urlencode({"csrfmiddlewaretoken": token}).encode()
    opener.open(urllib.request.Request(link, data=body, headers={"Referer": link})).read()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def sample(installation: Installation) -> dict[str, Any]:
    """Resident MiB of each part, connections of the database, rows and MiB of tables, and MiB of logs."""
    listing = subprocess.run(["ps", "-axo", "pid=,rss=,command="], capture_output=True, text=True, check=True).stdout
    below = set(installation.pids())
    memory: Counter[str] = Counter()
    for line in listing.splitlines():
        pid, rss, command = line.split(None, 2)
        part = next((part for part, words in PARTS.items() if all(word in command for word in words.split())), "")
        if int(pid) in below and part:
            memory[part] += int(rss)
    with installation.database() as connection:
        rows = connection.execute(
            "SELECT relname, pg_total_relation_size(relid), n_live_tup FROM pg_stat_user_tables WHERE n_live_tup > 0"
        ).fetchall()
        (connections,) = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL").fetchone() or (0,)
    return {
        "memory_mib": {part: round(kib / 1024) for part, kib in sorted(memory.items())},
        "connections": connections - 1,  # without this one
        "tables_mib": round(sum(size for _, size, _ in rows) / 2**20, 1),
        "rows": {name: count for name, _, count in sorted(rows, key=lambda row: -row[2])[:12]},
        "logs_mib": round(sum(file.stat().st_size for file in (installation.home / "log").glob("*")) / 2**20, 2),
    }


def main() -> None:
    minutes = int(os.environ.get("MINUTES") or 60)
    samples = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-soak-"))
        installation = stack.enter_context(Installation(Path(folder) / "home").running())
        viewers = Viewers(installation)
        viewers.start()
        for minute in range(minutes + 1):
            samples.append({"minute": minute, "load": round(os.getloadavg()[0], 1), **sample(installation)})
            sys.stdout.write(json.dumps(samples[-1]) + "\n")
            sys.stdout.flush()
            if minute < minutes:
                time.sleep(60)
        viewers.stopped.set()
        for thread in viewers.threads:  # what is on its way is answered before Muster stops
            thread.join(70)
        printed = [line for line in installation.printed().splitlines() if "starting it again" in line]
    seconds = sorted(viewers.seconds)
    early = samples[min(5, minutes // 2)]  # after caches are filled and pools are open
    result = {
        "minutes": minutes,
        "viewers": VIEWERS,
        "answers": dict(viewers.statuses),
        "page_p50_s": round(statistics.median(seconds), 2),
        "page_p95_s": round(seconds[int(0.95 * len(seconds))], 2),
        "restarts": printed,
        "early": early,
        "late": samples[-1],
    }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    place = paths.home() / "bench"
    place.mkdir(parents=True, exist_ok=True)
    (place / "soak.json").write_text(json.dumps(result | {"samples": samples}, indent=2))


if __name__ == "__main__":
    main()
