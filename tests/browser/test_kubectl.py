"""`kubectl muster` as a user runs it: a process with a token, against a running Muster."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from fleet.embedded.paths import ROOT
from tests.browser.conftest import Muster

PLUGIN = ROOT / "deploy" / "kubectl" / "kubectl-muster"
POD = "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: m, resources: {limits: {nvidia.com/gpu: 4000}}}]}\n"


def test_nodes_why_and_explain_of_a_running_muster(muster: Muster) -> None:
    command = [sys.executable, "manage.py", "create_token", "kubectl", "--role", "viewer"]
    made = subprocess.run(command, cwd=ROOT, env=muster.environment, capture_output=True, text=True, check=True, timeout=60)
    environment = {**muster.environment, "MUSTER_URL": muster.url, "MUSTER_TOKEN": made.stdout.strip()}

    def run(*arguments: str, given: str = "") -> tuple[int, str]:
        call = [sys.executable, str(PLUGIN), *arguments]
        done = subprocess.run(call, input=given, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.stderr == ""
        return done.returncode, done.stdout

    nodes: list[dict[str, Any]] = json.loads(run("nodes", "-o", "json")[1])
    listed = run("nodes")[1]
    assert listed.startswith(f"{len(nodes)} GPU nodes: ")
    broken = next(node for node in nodes if node["verdict"] == "not_ready" and node["broken_rung"])
    code, answer = run("why", f"{broken['cluster']}/{broken['name']}")
    assert (code, answer.startswith("Not ready at rung ")) == (1, True)
    code, answer = run("explain", "-f", "-", given=POD)
    assert (code, answer.startswith("Fits nowhere now")) == (1, True)
