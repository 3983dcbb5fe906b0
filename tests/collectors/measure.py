"""What a run costs beside the plain transfer of the same pages, and beside the typed models of the client.

`python -m tests.collectors.measure KUBECONFIG`, against a cluster of any size, simulated or real. Each candidate runs in
a process of its own, so that peak memory and start-up are its own; the second of two rounds is printed (warm).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

PATHS = ("/api/v1/nodes", "/api/v1/pods")


def floor(kubeconfig: str) -> int:
    """Every page of nodes and pods, received and thrown away. Returns megabytes."""
    from fleet.collectors.clients import open_client
    from fleet.collectors.connections import list_connections
    from fleet.collectors.deadline import Deadline
    from fleet.collectors.errors import Asked
    from fleet.collectors.session import Session

    session = Session(open_client(list_connections(kubeconfig, [], False)[0]), Deadline(600))
    size = 0
    for path in PATHS:
        token = ""
        while True:
            query = [("limit", 500), *([("continue", token)] if token else [])]
            body = session.get(path, Asked(verb="list", resource=path), query).body
            size += len(body)
            start = body.find(b'"continue":"', 0, 500) + len('"continue":"')
            token = body[start : body.index(b'"', start)].decode() if start >= len('"continue":"') else ""
            if not token:
                break
    return size >> 20


def collect(kubeconfig: str) -> int:
    """One pass. Returns pods kept."""
    from fleet.collectors.connections import list_connections
    from fleet.collectors.run import collect as run

    snapshot = run(list_connections(kubeconfig, [], False)[0], now=lambda: datetime.now(UTC), deadline_s=600)
    return len(snapshot.pods)


def typed_client(kubeconfig: str) -> int:
    """The same two lists through the client's own models. Returns objects."""
    from kubernetes import client, config

    core = client.CoreV1Api(config.new_client_from_config(kubeconfig, persist_config=False))
    seen = 0
    for read in (core.list_node, core.list_pod_for_all_namespaces):
        token: str | None = None
        while True:
            page = read(limit=500, **({"_continue": token} if token else {}))
            seen += len(page.items)
            token = page.metadata._continue if hasattr(page.metadata, "_continue") else page.metadata.var_continue
            if not token:
                break
    return seen


CANDIDATES: dict[str, Callable[[str], int]] = {"floor": floor, "collect": collect, "typed_client": typed_client}


def measure(candidate: str, kubeconfig: str, rounds: int = 2) -> dict[str, Any]:
    """Wall and CPU seconds of the last round, peak MB of the process. Run in a process of its own."""
    fields: dict[str, Any] = {}
    for _ in range(rounds):
        started, cpu = time.perf_counter(), time.process_time()
        result = CANDIDATES[candidate](kubeconfig)
        fields = {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu, "result": result}
    return {**fields, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def compare(kubeconfig: str) -> dict[str, dict[str, Any]]:
    """All candidates, each in its own process."""
    fields = {}
    for candidate in CANDIDATES:
        command = [sys.executable, "-m", "tests.collectors.measure", kubeconfig, candidate]
        fields[candidate] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return fields


if __name__ == "__main__":
    shown = measure(sys.argv[2], sys.argv[1]) if len(sys.argv) > 2 else compare(sys.argv[1])
    sys.stdout.write(json.dumps(shown) + "\n")
