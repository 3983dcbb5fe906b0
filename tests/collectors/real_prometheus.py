"""A real Prometheus server that scrapes the simulated exporters and model servers through the API server's pod proxy."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3
import yaml

from fleet.simulator import model_server
from fleet.simulator.server import Simulation
from tests.programs import need

_TOLD_BY_ALL = (
    *("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS"),
    *("vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size", "nv_inference_pending_request_count"),
    "num_requests_waiting",
)
"""Metrics that every GPU, or every model server, has once."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _jobs(simulation: Simulation, cluster: str, honor_labels: bool) -> list[dict[str, object]]:
    """One job for each exporter and model server, with a ServiceMonitor's labels: pod, namespace and container are its own."""
    address = simulation.server_url(cluster, tls=False).removeprefix("http://")
    pods = list(simulation.fleet[cluster].pods.values())
    targets = [(pod, "9400/proxy/metrics") for pod in pods if "dcgm-exporter" in pod.template.name]
    for pod in pods:
        if (port := model_server.port_of(pod)) is not None:
            path = "v1/metrics" if model_server.kind_of(pod) == "nim" else "metrics"
            targets.append((pod, f"{port}/proxy/{path}"))
    return [
        {
            "job_name": f"{pod.name}-{number}",
            "honor_labels": honor_labels,
            "metrics_path": f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}:{page}",
            "authorization": {"credentials": simulation.token(cluster)},
            "static_configs": [
                {
                    "targets": [address],
                    "labels": {"namespace": pod.namespace, "pod": pod.name, "container": "exporter", "cluster": cluster},
                }
            ],
        }
        for number, (pod, page) in enumerate(targets)
    ]


@contextlib.contextmanager
def scraping(
    simulation: Simulation, cluster: str, folder: Path, *, honor_labels: bool = False, devices: int, servers: int = 0
) -> Iterator[str]:
    """A Prometheus that has scraped `devices` temperatures and `servers` model servers at least; yields its URL."""
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
        _wait(process, url, devices + servers, folder / "prometheus.log")
        yield url
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _wait(process: subprocess.Popen[bytes], url: str, wanted: int, log: Path) -> None:
    pool, deadline = urllib3.PoolManager(retries=False), time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"prometheus ended: {log.read_text()[-2000:]}")
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            query = f'count({{__name__=~"{"|".join(_TOLD_BY_ALL)}"}})'
            answer = pool.request("GET", f"{url}/api/v1/query", fields={"query": query}, timeout=2.0)
            result = answer.json().get("data", {}).get("result", [])
            if answer.status == 200 and result and float(result[0]["value"][1]) >= wanted:
                return
        time.sleep(0.2)
    raise AssertionError(f"prometheus scraped nothing: {log.read_text()[-2000:]}")
