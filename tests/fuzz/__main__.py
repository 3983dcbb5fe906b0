"""`python -m tests.fuzz [--seconds N] [--seed N] [--role ROLE …]`: the operations of the API, as each role, for a bounded time.

Starts `manage.py run` on a data folder of its own in front of the simulated fleet. Each phase of schemathesis has a third of
the time: in one run, boundary values of the first operations would take all of it. They are tried on operations that the seed
chooses; random values and sequences of calls on all. All checks run but one: `positive_data_acceptance` takes a value that the
schema allows for one that must be accepted, and what exists, what lies in the future or what belongs together no schema says.
Exit 1 where anything is found, 2 where it could not run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("viewer", "developer", "admin")
_OURS = ("MUSTER_", "DATABASE_URL", "SECRET_KEY", "PORT", "ALLOWED_HOSTS", "DJANGO_")
READY_S = 180
PHASES = ("coverage", "fuzzing", "stateful")
SECONDS_OF_AN_OPERATION = 2
"""About as long as the boundary values of one operation take."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description="Fuzzes the API of a whole installation.")
    parser.add_argument("--seconds", type=int, default=180, help="for each role (180)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="printed, so that a run can be repeated")
    parser.add_argument("--role", action="append", choices=ROLES, help="only this role; may be given several times")
    options = parser.parse_args()
    if importlib.util.find_spec("schemathesis") is None:
        sys.stderr.write("Could not run: schemathesis is not installed. `make environment` installs it." + "\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="muster-fuzz-") as folder:
        home, port = Path(folder).resolve(), _free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | {
            "MUSTER_HOME": str(home),
            "MUSTER_NO_BOOTSTRAP": "1",
            "MUSTER_API_RATE": "100000/min",
            "PORT": str(port),
        }
        log = home / "run.txt"
        with log.open("w") as output:
            run = subprocess.Popen([sys.executable, "manage.py", "run"], cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            if not _is_ready(port, run):
                sys.stderr.write(f"Could not run: Muster did not start.\n{log.read_text()[-2000:]}" + "\n")
                return 2
            roles = options.role or ROLES
            codes = [_fuzz(f"http://127.0.0.1:{port}", role, options.seconds, options.seed, environment) for role in roles]
            failed = [line for line in (home / "log" / "web.log").read_text(errors="replace").splitlines() if " ERROR " in line]
            for line in sorted(set(failed))[:20]:
                sys.stdout.write(f"{line}\n")
            return 1 if any(codes) or failed else 0
        finally:
            run.send_signal(signal.SIGINT)
            try:
                run.wait(30)
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()


def _fuzz(url: str, role: str, seconds: int, seed: int, environment: dict[str, str]) -> int:
    token = subprocess.run(
        [sys.executable, "manage.py", "create_token", f"fuzz-{role}", "--role", role],
        cwd=ROOT, env=environment, check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    schema = _schema(url, token)
    # From a file: schemathesis gives a server 10 s for its schema, however busy the machine is.
    file = Path(environment["MUSTER_HOME"]) / f"schema-{role}.json"
    file.write_text(json.dumps(schema))
    codes = []
    for phase in PHASES:
        sys.stdout.write(f"\nAs {role}, {phase}, seed {seed}:\n")
        sys.stdout.flush()
        only = _some_operations(schema, seconds // len(PHASES), f"{seed} {role}") if phase == "coverage" else ()
        codes.append(
            _phase(
                (url, file),
                token,
                (phase, seconds // len(PHASES), seed),
                [f"--include-operation-id={id_}" for id_ in only],
                environment,
            )
        )
    return max(codes)


def _phase(at: tuple[str, Path], token: str, what: tuple[str, int, int], only: list[str], environment: dict[str, str]) -> int:
    (url, schema), (phase, seconds, seed) = at, what
    return subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", url, "--no-color", "--continue-on-failure",
            "--header", f"Authorization: Bearer {token}", "--checks", "all", "--exclude-checks", "positive_data_acceptance",
            "--phases", phase, "--max-time", str(max(seconds, 1)), "--max-examples", "10", "--workers", "1",
            "--request-timeout", "30", "--seed", str(seed), "--no-shrink", "--generation-database", "none", "--warnings", "off",
            *only,
        ],
        cwd=environment["MUSTER_HOME"],
        env=environment | {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=seconds + 300,
    ).returncode  # fmt: skip


def _schema(url: str, token: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.oai.openapi+json"}
    request = urllib.request.Request(f"{url}/api/v1/schema/?format=json", headers=headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)  # type: ignore[no-any-return]


def _some_operations(schema: dict[str, Any], seconds: int, seed: str) -> list[str]:
    """Returns ids of as many operations as fit into the time, others with each seed and role."""
    paths = schema["paths"]
    ids = sorted(entry["operationId"] for methods in paths.values() for entry in methods.values() if "operationId" in entry)
    return random.Random(seed).sample(ids, min(len(ids), max(4, seconds // SECONDS_OF_AN_OPERATION)))


def _is_ready(port: int, run: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and run.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=3):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
