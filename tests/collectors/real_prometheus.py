"""A real Prometheus server that scrapes the simulated exporters through the API server's pod proxy."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3
import yaml

from fleet.simulator.server import Simulation
from tests.programs import need


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _jobs(simulation: Simulation, cluster: str, honor_labels: bool) -> list[dict[str, object]]:
    """One job for each exporter, with a ServiceMonitor's labels: pod, namespace and container are the exporter's own."""
    address = simulation.server_url(cluster, tls=False).removeprefix("http://")
    exporters = [pod for pod in simulation.fleet[cluster].pods.values() if "dcgm-exporter" in pod.template.name]
    return [
        {
            "job_name": f"dcgm-{number}",
            "honor_labels": honor_labels,
            "metrics_path": f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}:9400/proxy/metrics",
            "authorization": {"credentials": simulation.token(cluster)},
            "static_configs": [
                {"targets": [address], "labels": {"namespace": pod.namespace, "pod": pod.name, "container": "exporter"}}
            ],
        }
        for number, pod in enumerate(exporters)
    ]


@contextlib.contextmanager
def scraping(simulation: Simulation, cluster: str, folder: Path, *, honor_labels: bool = False, devices: int) -> Iterator[str]:
    """A Prometheus that has scraped `devices` temperatures at least; yields its URL."""
    program, port = need("prometheus"), _free_port()
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "scrape_configs": _jobs(simulation, cluster, honor_labels),
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    url = f"http://127.0.0.1:{port}"
    log = (folder / "prometheus.log").open("wb")
    process = subprocess.Popen(
        [
            *(program, f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}"),
            *(f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"),
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait(process, url, devices, folder / "prometheus.log")
        yield url
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _wait(process: subprocess.Popen[bytes], url: str, devices: int, log: Path) -> None:
    pool, deadline = urllib3.PoolManager(retries=False), time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"prometheus ended: {log.read_text()[-2000:]}")
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            query = 'count({__name__=~"DCGM_FI_DEV_GPU_TEMP|DCGM_FI_DEV_GPU_TEMP_CELSIUS"})'
            answer = pool.request("GET", f"{url}/api/v1/query", fields={"query": query}, timeout=2.0)
            result = answer.json().get("data", {}).get("result", [])
            if answer.status == 200 and result and float(result[0]["value"][1]) >= devices:
                return
        time.sleep(0.2)
    raise AssertionError(f"prometheus scraped nothing: {log.read_text()[-2000:]}")
