"""`manage.py verify_audit`: whether the audit log is unchanged."""

from __future__ import annotations

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.management.commands._database import running_database
from fleet.selectors.audit import chain as audit_chain

_NOTED = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


class Command(BaseCommand):
    help = (
        "Verifies the chain of digests of the audit log. Prints one line per day and the newest digest; "
        "exit 1 and one line per breach if an entry was changed, removed or inserted past the database's own triggers."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--expect",
            action="append",
            default=[],
            metavar="NUMBER:DIGEST",
            help="a digest noted earlier outside of the database; may be given several times",
        )
        parser.add_argument("--days", type=int, default=14, help="how many of the newest days to print (14)")

    def handle(self, *args: Any, **options: Any) -> None:
        expected: dict[int, str] = {}
        for text in options["expect"]:
            match = _NOTED.fullmatch(text)
            if match is None:
                raise CommandError(f"--expect is {text!r}: give NUMBER:DIGEST as an earlier verify_audit printed it.")
            expected[int(match[1])] = match[2]
        with running_database():
            report = audit_chain.verify(expected)
        for day in report.days[-max(0, options["days"]) :] if options["days"] > 0 else []:
            entries = day.last_number - day.first_number + 1
            dropped = "  dropped after retention" if day.dropped else ""
            self.stdout.write(f"{day.day}  {entries:>7,} entr{'y' if entries == 1 else 'ies'}  {day.digest[:16]}{dropped}")
        for sentence in report.breaches:
            self.stderr.write(sentence)
        if report.breaches:
            raise CommandError("The audit log was tampered with, or restored only in part.")
        self.stdout.write(f"{report.number:,} entries, no gap. Newest: {report.number}:{report.digest or '0' * 64}")
