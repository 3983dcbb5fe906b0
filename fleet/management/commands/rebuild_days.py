"""`manage.py rebuild_days [--since DAY]`: computes the figures of days and hours again, from the periods."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet.management.commands._database import running_database
from fleet.services import rollups


class Command(BaseCommand):
    help = "Rebuilds the figures of every day since DAY (default: the first day there is) from the kept periods."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", metavar="DAY", help="as 2026-11-01, in UTC")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            since = date.fromisoformat(options["since"]) if options["since"] else date.min
        except ValueError as error:
            raise CommandError("Enter the day as 2026-11-01.") from error
        with running_database():
            count = 0
            for day in rollups.rebuild(since, timezone.now()):
                count += 1
                if self.stderr.isatty():
                    self.stderr.write(f"\r{day}", ending="")
            self.stdout.write(f"{count} days rebuilt.")
