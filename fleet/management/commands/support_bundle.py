"""`manage.py support_bundle`: one file with the state of this installation, without secrets."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet.management.commands._database import running_database
from fleet.selectors.muster import support

LOG_BYTES = 512 * 1024


class Command(BaseCommand):
    help = (
        "Writes a .tar.gz with versions, settings without secrets, table sizes, recent runs and errors and the ends of the logs. "
        "It names clusters, and nodes where an error names them; nothing is sent anywhere."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", metavar="FILE", help="default: muster-support-DATE.tar.gz in this folder")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        target = Path(options["output"] or f"muster-support-{now:%Y%m%d-%H%M%S}.tar.gz")
        with running_database():
            documents: dict[str, Any] = {
                "about.json": support.about(now),
                "settings.json": support.configuration(),
                "clusters.json": support.clusters(),
                "runs.json": support.runs(),
                "failed-deliveries.json": support.failed_deliveries(),
            }
        texts = {name: json.dumps(data, indent=2, default=str) for name, data in documents.items()}
        texts |= {f"log/{path.name}": _end_of(path) for path in sorted((settings.MUSTER_HOME / "log").glob("*.log"))}
        redact = support.Redaction()
        try:
            # Readable by its owner only.
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                _write(file, {name: redact(text) for name, text in texts.items()}, int(now.timestamp()))
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error.strerror}. Name another file with --output.") from error
        self.stdout.write(f"Wrote {target}: {len(texts)} files. Read it before you share it.")


def _write(file: Any, texts: dict[str, str], at: int) -> None:
    with tarfile.open(fileobj=file, mode="w:gz") as bundle:
        for name, text in texts.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"muster-support/{name}")
            entry.size, entry.mtime, entry.mode = len(data), at, 0o600
            bundle.addfile(entry, io.BytesIO(data))


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read().decode(errors="replace")
