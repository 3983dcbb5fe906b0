"""What reading telemetry costs: `python -m tests.bench.telemetry` for the parsers; the rest through `manage.py bench`.

A thousand exporters of eight cards each are asked through the API server's proxy, by a process of their own on the same machine.
"""

from __future__ import annotations

import sys
import time
import timeit
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def parsers() -> dict[str, Any]:
    """Milliseconds for one page of 8 GPUs × 40 series: prometheus_client's parser, and Muster's with all it makes of them."""
    from prometheus_client.parser import text_string_to_metric_families

    from fleet.collectors.dcgm import parse as devices
    from fleet.collectors.exposition import parse
    from fleet.domain.catalog.metrics import load
    from tests.collectors.pages import whole_page

    text = whole_page(8, [metric.wires[0] for metric in load().metric][:40])

    def best(action: Any, times: int) -> float:
        return round(min(timeit.repeat(action, number=times, repeat=5)) / times * 1000, 2)

    now = datetime.now(UTC)
    return {
        "page_kb": round(len(text) / 1000),
        "official_parser_ms": best(
            lambda: [sample for family in text_string_to_metric_families(text) for sample in family.samples], 5
        ),
        "own_parser_ms": best(lambda: list(parse(text)), 20),
        "page_to_devices_ms": best(lambda: devices(parse(text), "n", now).samples(), 20),
    }


def passes(kubeconfig: Path) -> dict[str, Any]:
    """Seconds of a telemetry pass over every exporter of a cluster: reading, and all with judging and recording."""
    from django.utils import timezone

    from fleet.collectors.connections import list_connections
    from fleet.collectors.run import collect
    from fleet.collectors.sections import TELEMETRY_SECTIONS
    from fleet.collectors.telemetry import PORTS
    from fleet.models import Cluster, CollectionRun
    from fleet.services import collection_runs, last_known

    Cluster.objects.filter(name="bench").delete()
    cluster = Cluster.objects.create(name="bench")
    (connection,) = list_connections(str(kubeconfig), (), in_cluster=False)

    def absorb(seen: Any, trigger: str) -> None:
        run = CollectionRun.objects.create(cluster=cluster, trigger=trigger, started_at=timezone.now())
        cluster.refresh_from_db()
        absorb(cluster, seen, run)

    absorb(collect(connection, now=timezone.now, deadline_s=300), "cli")
    figures: dict[str, Any] = {}
    for _ in range(2):  # the second time without new connections and new rows
        began, used = time.perf_counter(), time.process_time()
        pods = last_known.pods_to_ask(cluster, PORTS)
        seen = collect(connection, now=timezone.now, known_pods=pods, sections=TELEMETRY_SECTIONS, deadline_s=60)
        read = time.perf_counter()
        absorb(seen, collection_runs.TELEMETRY)
        figures = {
            "exporters": len(seen.telemetry.exporters),
            "devices": len(seen.telemetry.samples),
            "failed": sum(not report.at for report in seen.telemetry.exporters),
            "telemetry_read_s": round(read - began, 2),
            "telemetry_pass_s": round(time.perf_counter() - began, 2),
            "telemetry_cpu_s": round(time.process_time() - used, 2),
        }
    Cluster.objects.filter(name="bench").delete()
    return figures


if __name__ == "__main__":
    for name, value in parsers().items():
        sys.stdout.write(f"{name:<24} {value}\n")
