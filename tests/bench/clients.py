"""One way of listing a cluster's nodes and pods, in a process of its own: `python -m tests.bench.clients WAY KUBECONFIG`.

Prints one line of JSON: wall_s, cpu_s (this process, user and system) and peak_mb (its largest resident size).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime


def floor(kubeconfig: str) -> int:
    """The bytes of the same pages, read and dropped: what no client can go below."""
    import base64
    import ssl

    import urllib3
    import yaml

    with open(kubeconfig, encoding="utf-8") as file:  # noqa: PTH123
        config = yaml.safe_load(file)
    cluster = config["clusters"][0]["cluster"]
    server, authority = cluster["server"], cluster.get("certificate-authority-data")
    trust = ssl.create_default_context(cadata=base64.b64decode(authority).decode()) if authority else None
    headers = {
        "Authorization": f"Bearer {config['users'][0]['user']['token']}",
        "Accept": "application/json",
        "User-Agent": "muster-bench/1",
    }
    pool, total = urllib3.PoolManager(ssl_context=trust), 0
    for path in ("/api/v1/nodes", "/api/v1/pods"):
        token = ""
        while True:
            answer = pool.request("GET", f"{server}{path}?limit=500&continue={token}", headers=headers)
            total += len(answer.data)
            # The token stands in the list's metadata, which the API server writes before the items.
            head = answer.data[:4096].decode(errors="replace")
            mark = head.find('"continue":"')
            token = head[mark + 12 :].split('"', 1)[0] if mark >= 0 else ""
            if not token:
                break
    return total


def typed(kubeconfig: str) -> int:
    """The kubernetes client's own typed models, by the same pages."""
    from kubernetes import client, config

    config.load_kube_config(kubeconfig)
    api, total = client.CoreV1Api(), 0
    for method in (api.list_node, api.list_pod_for_all_namespaces):
        token: str | None = None
        while True:
            page = method(limit=500, _continue=token) if token else method(limit=500)
            total += len(page.items)
            token = page.metadata._continue
            if not token:
                break
    return total


def muster(kubeconfig: str) -> int:
    """Muster's collectors, of the same two lists: with the version, which a run asks for first."""
    from fleet.collectors.connections import list_connections
    from fleet.collectors.run import collect

    (connection,) = list_connections(kubeconfig, (), in_cluster=False)
    sections = ("version", "nodes", "pods")
    snapshot = collect(connection, now=lambda: datetime.now(UTC), sections=sections, deadline_s=300)
    broken = [report.reason for report in snapshot.sections.values() if not report.complete]
    if broken:
        raise SystemExit(" ".join(broken))
    return len(snapshot.nodes) + len(snapshot.pods)


def main() -> None:
    way, kubeconfig = sys.argv[1:]
    began = time.perf_counter()
    amount = {"floor": floor, "typed": typed, "muster": muster}[way](kubeconfig)
    wall = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "wall_s": round(wall, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
        "amount": amount,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
