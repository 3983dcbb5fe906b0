"""Injects faults into a whole `manage.py run` and measures what a user sees and how long it takes until all is well again.

`make reliability`, about twelve minutes: prints a table and writes $MUSTER_HOME/bench/reliability.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from fleet.embedded import paths
from tests.embedded.helpers import ROOT, descendants, environment, free_port, wait_until

LONGEST_S = 200.0


class Installation:
    """One `manage.py run` on a data folder of its own, over the simulated fleet."""

    def __init__(self, home: Path, **more: str) -> None:
        self.home, self.port, self.more = home, free_port(), more
        self.output = home.parent / "output"
        self.healthz: list[float] = []
        self.process: subprocess.Popen[bytes]

    @contextlib.contextmanager
    def running(self) -> Iterator[Installation]:
        variables = environment(MUSTER_HOME=str(self.home), MUSTER_NO_BOOTSTRAP="1", MUSTER_METRICS_PUBLIC="1", **self.more)
        with self.output.open("wb") as output:
            command = [sys.executable, "manage.py", "run", "--port", str(self.port)]
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=variables, stdout=output, stderr=output, start_new_session=True
            )
        try:
            wait_until(lambda: "/sign-in/" in self.printed(), patience=180)
            yield self
        finally:
            below = descendants(self.process.pid)
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(40)
            for pid in (self.process.pid, *below):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def printed(self) -> str:
        return self.output.read_text(errors="replace")

    def get(self, path: str, timeout: float = 30) -> tuple[int, float, bytes]:
        """Status (0: no answer), seconds and body."""
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
                return answer.status, time.monotonic() - began, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, time.monotonic() - began, error.read()
        except OSError:
            return 0, time.monotonic() - began, b""

    def is_well(self) -> bool:
        """Ready, and every cluster read within the last 25 s, which needs beat, worker, broker and database."""
        status, _, body = self.get("/readyz", timeout=5)
        if status != 200:
            return False
        ages = json.loads(body)["collection_age_seconds"].values()
        return bool(ages) and all(age is not None and age < 25 for age in ages)

    def pids(self, *words: str) -> list[int]:
        """Processes below the supervisor whose command line holds all of these words, the oldest first."""
        listing = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True).stdout
        below = descendants(self.process.pid)
        rows = (line.strip().partition(" ") for line in listing.splitlines())
        return sorted(int(pid) for pid, _, command in rows if int(pid) in below and all(word in command for word in words))

    def database(self) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(paths.socket_dir(self.home)), user=paths.ROLE, dbname=paths.DATABASE, autocommit=True)


def send(number: signal.Signals, *words: str) -> Callable[[Installation], None]:
    def inject(installation: Installation) -> None:
        os.kill(installation.pids(*words)[0], number)

    return inject


def lock_tables(installation: Installation) -> None:
    """Holds every table that pages read for 75 s."""

    def hold() -> None:
        with installation.database() as connection, connection.transaction():
            connection.execute("LOCK TABLE fleet_node, fleet_cluster, django_session IN ACCESS EXCLUSIVE MODE")
            time.sleep(75)

    threading.Thread(target=hold, daemon=True).start()


def stop_supervisor(installation: Installation) -> None:
    installation.process.send_signal(signal.SIGSTOP)
    threading.Timer(70, installation.process.send_signal, (signal.SIGCONT,)).start()


FAULTS: dict[str, tuple[Callable[[Installation], None], float]] = {
    "web killed (SIGKILL)": (send(signal.SIGKILL, "fleet.embedded.web"), 0),
    "web stopped (SIGSTOP)": (send(signal.SIGSTOP, "fleet.embedded.web"), 0),
    "worker crashes (SIGSEGV)": (send(signal.SIGSEGV, "celery", "worker"), 0),
    "worker stopped (SIGSTOP)": (send(signal.SIGSTOP, "celery", "worker"), 0),
    "beat stopped (SIGSTOP)": (send(signal.SIGSTOP, "celery", "beat"), 0),
    "broker killed (SIGKILL)": (send(signal.SIGKILL, "valkey-server"), 0),
    "broker stopped (SIGSTOP)": (send(signal.SIGSTOP, "valkey-server"), 0),
    "Postgres killed (SIGKILL)": (send(signal.SIGKILL, "postgres", "-D"), 0),
    "Postgres stopped (SIGSTOP)": (send(signal.SIGSTOP, "postgres", "-D"), 0),
    "tables locked for 75 s": (lock_tables, 75),
    "supervisor stopped for 70 s": (stop_supervisor, 70),
}
"""Fault to how it is injected, and the seconds that it lasts by itself."""


def measure(installation: Installation, inject: Callable[[Installation], None], lasts_s: float) -> dict[str, Any]:
    """Injects one fault and returns what was seen until all was well again."""
    before = len(installation.printed().splitlines())
    probes: list[tuple[int, float]] = []
    pages: list[int] = []
    began = time.monotonic()
    inject(installation)
    trouble_at, well_at = None, None
    while (passed := time.monotonic() - began) < LONGEST_S:
        status, seconds, _ = installation.get("/healthz", timeout=5)
        probes.append((status, seconds))
        pages.append(installation.get("/sign-in/", timeout=5)[0])
        if not installation.is_well() or status != 200 or pages[-1] != 200:
            trouble_at, well_at = time.monotonic() - began, None
        elif well_at is None:
            well_at = time.monotonic() - began
        # a fault that hurts later is waited for, and one that hurt is watched for a while
        elif passed > max(lasts_s, 30.0 if trouble_at else 80.0) and passed > well_at + 10:
            break
        time.sleep(0.3)
    answered = [seconds for status, seconds in probes if status == 200]
    return {
        "well_again_s": 0 if trouble_at is None else None if well_at is None else round(well_at),
        "healthz_slowest_s": round(max(answered), 2) if answered else None,
        "healthz_unanswered": sum(1 for status, _ in probes if status != 200),
        "healthz_asked": len(probes),
        "pages": {str(status): pages.count(status) for status in sorted(set(pages))},
        "printed": [re.sub(r" \(log: .*", "", line) for line in installation.printed().splitlines()[before:]],
    }


def main() -> None:
    only = sys.argv[1:]
    results = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-reliability-"))
        if installation := stack.enter_context(Installation(Path(folder) / "home", MUSTER_COLLECT_INTERVAL="10").running()):
            for name, (inject, lasts_s) in FAULTS.items():
                if only and not any(word in name for word in only):
                    continue
                wait_until(installation.is_well, patience=120)
                results[name] = measure(installation, inject, lasts_s)
                sys.stdout.write(f"{name}: {json.dumps(results[name])}\n")
                sys.stdout.flush()
            with installation.database() as connection:
                rows = connection.execute(
                    "SELECT outcome, cause, count(*) FROM fleet_collectionrun GROUP BY 1, 2 ORDER BY 1, 2"
                ).fetchall()
            results["runs"] = [list(row) for row in rows]
            sys.stdout.write(f"runs: {rows}\n")
    place = paths.home() / "bench"
    place.mkdir(parents=True, exist_ok=True)
    (place / "reliability.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
