"""`make audit`: asks the advisory database about the pinned packages, and says when it could not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOUND, NOT_RUN = 1, 2


def main() -> int:
    """0 where no pinned package has a known vulnerability, 1 where one has, 2 where it could not be found out for all."""
    codes = [_ask(name) for name in ("requirements.txt", "requirements-dev.txt")]
    return FOUND if FOUND in codes else max(codes)


def _ask(name: str) -> int:
    command = [sys.executable, "-m", "pip_audit", "--requirement", name, "--require-hashes", "--disable-pip"]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner", "off", "--format", "json"],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        answer = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        sys.stderr.write(f"{name}: could not run, nothing is known: {error}\n")
        return NOT_RUN
    code, lines = verdict(answer)
    for line in lines:
        (sys.stderr if code else sys.stdout).write(f"{name}: {line}\n")
    return code


def verdict(answer: dict[str, Any]) -> tuple[int, list[str]]:
    """Returns the exit code and lines for an answer of pip-audit. A package that was skipped is not one without vulnerability."""
    packages = answer["dependencies"]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    lines = [
        f"{package['name']} {package['version']} has {entry['id']}: fixed in {', '.join(entry['fix_versions']) or 'none yet'}"
        for package in packages
        for entry in package.get("vulns", ())
    ]
    code = FOUND if lines else NOT_RUN if skipped or not packages else 0
    if skipped or not packages:
        some = ", ".join(skipped[:3]) + (" …" if len(skipped) > 3 else "")
        lines.append(f"could not run for {len(skipped)} of {len(packages)} packages, of which nothing is known ({some})")
    elif not lines:
        lines.append(f"{len(packages)} packages, no known vulnerability")
    return code, lines


if __name__ == "__main__":
    sys.exit(main())
