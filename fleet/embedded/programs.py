"""Programs that some tests use and no Python package includes: where they are, and how to install them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """One program: the names it may have on PATH, best first, and Debian's package of it."""

    name: str
    executables: tuple[str, ...]
    debian: str
    hint: str

    def path(self) -> str | None:
        """Where it is, or None."""
        return next((which for name in self.executables if (which := shutil.which(name))), None)


PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        Program(
            "chromium",
            ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"),
            "chromium",
            "install Chromium or Chrome (Debian: `apt install chromium`)",
        ),
        Program(
            "kubectl",
            ("kubectl",),
            "kubernetes-client",
            "install kubectl (Debian: `apt install kubernetes-client`; else https://kubernetes.io/docs/tasks/tools/)",
        ),
        Program(
            "prometheus",
            ("prometheus",),
            "prometheus",
            "install Prometheus (Debian: `apt install prometheus`; else https://prometheus.io/download/)",
        ),
        Program(
            "promtool",
            ("promtool",),
            "prometheus",
            "install Prometheus' promtool (Debian: `apt install prometheus`; else https://prometheus.io/download/)",
        ),
    )
}


def missing() -> list[Program]:
    return [program for program in PROGRAMS.values() if program.path() is None]


def can_install() -> bool:
    """Whether we may install packages here: root on a system with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(programs: Iterable[Program]) -> list[str]:
    """Installs Debian packages, one at a time, so that a missing one does not affect the others.

    Returns a sentence for each that could not be installed.
    """
    # A package that brings a service must not start it: the tests run their own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, capture_output=True, check=False)
    failures = []
    for program in programs:
        done = subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", program.debian],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no output of apt"])[-1]
            failures.append(f"apt could not install {program.debian}: {last}")
    return failures
