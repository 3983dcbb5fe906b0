"""Forty clusters of which ten are dead: is every other one read within its interval?

`make clusters`, MINUTES (5) of a whole `manage.py run` at its defaults: prints figures, and writes them to
$MUSTER_HOME/bench/clusters.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleet.embedded import paths
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import serve
from tests.bench.reliability import Installation

CLUSTERS, DEAD = 40, ("refused", "blackhole", "hang", "drip", "refused", "blackhole", "hang", "drip", "blackhole", "drip")
INTERVAL_S = 60
"""The default."""


def main() -> None:
    minutes = float(os.environ.get("MINUTES") or 5)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-clusters-")))
        running = stack.enter_context(serve(build_fleet(clusters=CLUSTERS, nodes=3, pods_per_node=4, seed=4)))
        names = sorted(running.servers)
        dead = dict(zip(names[:: CLUSTERS // len(DEAD)], DEAD, strict=True))
        kubeconfig = running.kubeconfig(folder / "kubeconfig", tls=False)
        dripping = stack.enter_context(_dripping())
        for name, how in dead.items():
            if how == "drip":
                text = kubeconfig.read_text().replace(running.server_url(name, tls=False), dripping)
                kubeconfig.write_text(text)
            else:
                running.faults(name).set(unreachable=how)
        installation = stack.enter_context(Installation(folder / "home", MUSTER_KUBECONFIG=str(kubeconfig)).running())
        time.sleep(INTERVAL_S)  # beat and worker start after the first page
        with installation.database() as connection:
            (began,) = connection.execute("SELECT now()").fetchone() or (None,)
            time.sleep(60 * minutes)
            rows = connection.execute(
                "SELECT cluster.name, run.outcome, extract(epoch FROM run.started_at - %s),"
                " extract(epoch FROM run.finished_at - run.started_at)"
                " FROM fleet_collectionrun run JOIN fleet_cluster cluster ON cluster.id = run.cluster_id"
                " WHERE run.started_at > %s AND run.trigger = 'schedule' AND run.outcome <> 'running' ORDER BY run.started_at",
                [began, began],
            ).fetchall()
        warnings = json.loads(installation.get("/readyz")[2])["warnings"]
    result = figures(rows, [name for name in names if name not in dead], dead, 60 * minutes)
    result |= {"minutes": minutes, "warnings": warnings, "load": os.getloadavg()[0]}
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    place = paths.home() / "bench"
    place.mkdir(parents=True, exist_ok=True)
    (place / "clusters.json").write_text(json.dumps(result, indent=2))


def figures(rows: list[tuple[Any, ...]], living: list[str], dead: dict[str, str], lasts_s: float) -> dict[str, Any]:
    """Compares the starts of each cluster's runs with its interval."""
    starts: dict[str, list[float]] = {name: [] for name in (*living, *dead)}
    took: dict[str, list[float]] = {name: [] for name in (*living, *dead)}
    for name, _, at, seconds in rows:
        starts[name].append(float(at))
        took[name].append(float(seconds))
    gaps = [after - before for name in living for before, after in zip(starts[name], starts[name][1:], strict=False)]
    return {
        "living": len(living),
        "dead": len(dead),
        "runs_of_living": sum(len(starts[name]) for name in living),
        "living_never_read": [name for name in living if not starts[name]],
        "gap_p50_s": round(statistics.median(gaps), 1) if gaps else None,
        "gap_longest_s": round(max(gaps), 1) if gaps else None,
        "gaps_over_interval": sum(1 for gap in gaps if gap > INTERVAL_S + 6),  # beat asks every five seconds
        "fewest_runs_of_a_living": min(len(starts[name]) for name in living),
        "runs_expected_of_each": int(lasts_s // INTERVAL_S),
        "not_ok_of_living": [f"{name}: {outcome}" for name, outcome, *_ in rows if name in living and outcome != "ok"],
        "dead_took_s": {
            how: round(max((value for name in dead if dead[name] == how for value in took[name]), default=0), 1)
            for how in set(DEAD)
        },
    }


@contextlib.contextmanager
def _dripping() -> Iterator[str]:
    """A server that answers every connection with a byte a second."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def drip(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            for byte in b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n" + b" " * 9999:
                connection.sendall(bytes([byte]))
                time.sleep(1)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


if __name__ == "__main__":
    main()
