"""manage.py simulate, as people run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3
import yaml
from django.core.management import call_command
from django.core.management.base import CommandError

ROOT = Path(__file__).parents[2]


@contextmanager
def _running(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, once it has written its kubeconfig and serves."""
    command = [sys.executable, str(ROOT / "manage.py"), "simulate", "--clusters", "2", "--nodes", "6", "--kubeconfig", str(path)]
    environment = {**os.environ, "MUSTER_NO_BOOTSTRAP": "1", "MUSTER_HOME": str(path.parent / "home")}
    environment.pop("DATABASE_URL", None)
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=path.parent
    )
    try:
        began = path.stat().st_mtime if path.exists() else 0.0
        ends = time.monotonic() + 60
        while not (path.exists() and path.stat().st_mtime > began):
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < ends, "no kubeconfig after a minute"
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def _servers(path: Path) -> dict[str, str]:
    return {entry["name"]: entry["cluster"]["server"] for entry in yaml.safe_load(path.read_text())["clusters"]}


def test_it_serves_says_where_and_leaves_quietly(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    with _running(path, "--frozen") as process:
        servers = _servers(path)
        assert list(servers) == ["prod-us-east", "prod-eu-west"]
        plain = servers["prod-us-east"].replace("https:", "http:")
        assert urllib3.request("GET", f"{plain}/version").json()["gitVersion"].startswith("v1.")
        process.send_signal(signal.SIGTERM)
        output, complaints = process.communicate(timeout=15)
    assert process.returncode == 0
    assert complaints == ""
    for server in servers.values():
        assert server in output
    assert str(path) in output
    with _running(path, "--live") as process:
        assert _servers(path) == servers, "a restarted fleet is where it was"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=15) == 0


def test_a_port_in_use_is_reported_in_a_sentence(tmp_path: Path) -> None:
    from fleet.simulator.fleet import build_fleet
    from fleet.simulator.server import serve

    with serve(build_fleet(clusters=1, nodes=0)) as simulation:
        with pytest.raises(CommandError, match=f"Port {simulation.port} cannot be used: .* Choose another with --port"):
            call_command("simulate", clusters=1, nodes=0, port=simulation.port, kubeconfig=tmp_path / "config")
        assert not (tmp_path / "config").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["--clusters", "0"], "--clusters must be at least 1"), (["--nodes", "-1"], "--nodes must not be negative")],
)
def test_numbers_that_make_no_sense(arguments: list[str], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("simulate", *arguments)
