"""`manage.py bench [arguments of tests.bench]`: the benchmark, on a Postgres of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from fleet.embedded import paths
from fleet.embedded.postgres import Postgres


class Command(BaseCommand):
    help = "Measures the cost of collecting, evaluating and recording a large cluster; results go to MUSTER_HOME/bench/."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Without argparse: the options are those of the benchmark."""
        sys.exit(self.handle(*argv[2:]))

    def handle(self, *arguments: str, **_: Any) -> int:  # type: ignore[override]
        with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
            # With the durability of a real installation, which costs time.
            database = Postgres(Path(folder).resolve())
            database.start()
            try:
                database.wait()
                environment = {
                    **os.environ,
                    "DATABASE_URL": paths.database_url(Path(folder).resolve()),
                    "MUSTER_HOME": str(settings.MUSTER_HOME),
                }
                return subprocess.run(
                    [sys.executable, "-m", "tests.bench", *arguments], cwd=paths.ROOT, env=environment, check=False
                ).returncode
            finally:
                database.stop()
