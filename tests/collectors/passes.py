"""Whole passes over the simulated cluster: how they are made, and what of them is compared."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from fleet.collectors.connections import Connection, list_connections
from fleet.collectors.run import collect
from fleet.collectors.session import Limits
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLUSTER = "prod-us-east"
SMALL = Limits(page_size=10)
ASKED = ("telemetry", "model_servers")
NEED = {"operator": ("device_plugin_config",), "pods": ASKED}
"""What cannot be read without a section."""


def only_connection(path: Path) -> Connection:
    (connection,) = list_connections(str(path), [], False)
    return connection


def look(connection: Connection, **more: Any) -> ClusterSnapshot:
    return collect(connection, now=lambda: NOW, **more)


def outcomes(snapshot: ClusterSnapshot) -> dict[str, Outcome]:
    return {name: report.outcome for name, report in snapshot.sections.items()}


def others(snapshot: ClusterSnapshot, *names: str) -> set[Outcome]:
    return {outcome for name, outcome in outcomes(snapshot).items() if name not in names}


def edit(path: Path, user: dict[str, Any] | None = None, without: tuple[str, ...] = ()) -> Path:
    """Change the user, and drop keys of the cluster, in the simulated fleet's own kubeconfig."""
    content = yaml.safe_load(path.read_text())
    for entry in content["users"]:
        if user is not None:
            entry["user"] = user
    for entry in content["clusters"]:
        for key in without:
            entry["cluster"].pop(key, None)
    path.write_text(yaml.safe_dump(content))
    return path
