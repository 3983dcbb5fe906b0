"""Runs the benchmarks, prints a table for each and writes $MUSTER_HOME/bench/{collect,telemetry,headroom}.json.

Options: `--nodes 5000 --pods 30000 --runs 3 --exporters 1000 --only collect|telemetry|headroom`. Needs a database (`make bench`
brings its own). `history` as the first argument runs the benchmark of a year of history (tests/bench/history.py),
`month` that of a month of scripted faults (tests/bench/month.py).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench import headroom, recording, telemetry

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--pods", type=int, default=30_000)
    parser.add_argument("--runs", type=int, default=3, help="each way is run so often, in turn; medians are printed")
    parser.add_argument("--exporters", type=int, default=1_000)
    parser.add_argument("--only", choices=["collect", "telemetry", "headroom"])
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleet.config.settings")
    home = Path(os.environ.get("MUSTER_HOME") or ROOT / "var")
    folder = home / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    import django

    django.setup()
    if options.only in (None, "headroom"):
        headroom.main(options.nodes)
    if options.only in (None, "collect"):
        with _simulated(folder, options.nodes, options.pods // options.nodes) as kubeconfig:
            figures = {**_clients(kubeconfig, options.runs), **recording.runs(kubeconfig, telemetry=False)}
        _tell(folder / "collect.json", {**figures, "nodes": options.nodes, "pods": options.pods, "runs": options.runs})
    if options.only in (None, "telemetry"):
        _tell(folder / "telemetry.json", {**telemetry.parsers(), **_telemetry(folder, options.exporters)})


def _telemetry(folder: Path, exporters: int) -> dict[str, Any]:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with _simulated(folder, exporters * 6 // 5, 3) as kubeconfig:  # not every node has an exporter
        return telemetry.passes(kubeconfig)


def _tell(path: Path, figures: dict[str, Any]) -> None:
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for name, value in figures.items():
        sys.stdout.write(f"{name:<24} {value}\n")


@contextlib.contextmanager
def _simulated(folder: Path, nodes: int, pods_per_node: int) -> Iterator[Path]:
    """A simulated cluster in a process of its own; its kubeconfig."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.unlink(missing_ok=True)
    simulator = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "manage.py"), "simulate", "--clusters", "1", "--nodes", str(nodes)),
            *("--pods-per-node", str(pods_per_node), "--kubeconfig", str(kubeconfig), "--frozen"),
        ],
        env={**os.environ, "MUSTER_NO_BOOTSTRAP": "1"},
        stdout=subprocess.DEVNULL,
    )
    try:
        while not kubeconfig.exists():
            if simulator.poll() is not None:
                raise SystemExit("The simulator ended before it served.")
            time.sleep(0.1)
        yield kubeconfig
    finally:
        simulator.terminate()
        simulator.wait(10)


def _clients(kubeconfig: Path, runs: int) -> dict[str, Any]:
    """floor, muster and typed in turn, each in a new process, after one round that is not counted."""
    seconds_by_client: dict[str, list[dict[str, float]]] = {"floor": [], "muster": [], "typed": []}
    for round_ in range(runs + 1):
        for way, rows in seconds_by_client.items():
            if way == "typed" and 1 < round_ < runs:
                continue  # it takes longer than all the others together: once warm, once at the end
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.clients", way, str(kubeconfig)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            if round_:
                rows.append(json.loads(done.stdout))
    median = {way: {key: statistics.median(r[key] for r in rows) for key in rows[0]} for way, rows in seconds_by_client.items()}
    return {
        "collect_vs_floor": round(median["muster"]["wall_s"] / median["floor"]["wall_s"], 2),
        "typed_client_vs_collect": round(median["typed"]["wall_s"] / median["muster"]["wall_s"], 2),
        "floor_s": median["floor"]["wall_s"],
        "collect_s": median["muster"]["wall_s"],
        "collect_cpu_s": median["muster"]["cpu_s"],
        "typed_client_s": median["typed"]["wall_s"],
        "peak_mb": median["muster"]["peak_mb"],
        "typed_client_peak_mb": median["typed"]["peak_mb"],
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["history"]:
        from tests.bench import history

        history.main(sys.argv[2:])
    elif sys.argv[1:2] == ["month"]:
        from tests.bench import month

        month.main()
    else:
        main()
