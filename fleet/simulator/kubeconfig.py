"""The kubeconfig of a simulated fleet."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


def write(path: Path, servers: dict[str, str], tokens: dict[str, str], authority: bytes) -> None:
    """Write one context per cluster, atomically and readable by the owner only; the first is the current one."""

    def cluster(server: str) -> dict[str, Any]:
        data = base64.b64encode(authority).decode()
        return {"server": server} | ({"certificate-authority-data": data} if server.startswith("https:") else {})

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": next(iter(servers), ""),
        "clusters": [{"name": name, "cluster": cluster(server)} for name, server in servers.items()],
        "users": [{"name": f"muster@{name}", "user": {"token": tokens[name]}} for name in servers],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"muster@{name}"}} for name in servers],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file, sort_keys=False)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def ports(path: Path) -> dict[str, int]:
    """The ports of an earlier kubeconfig, so that a restarted fleet can reuse them; empty without one."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        listed = {entry["name"]: urlsplit(entry["cluster"]["server"]) for entry in config["clusters"]}
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return {}
    return {name: url.port for name, url in listed.items() if url.hostname == "127.0.0.1" and url.port}
