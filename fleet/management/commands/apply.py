"""`manage.py apply -f FILE`: pools and classes become what the file declares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet.management.commands._database import running_database
from fleet.models import Role, User
from fleet.services.documents import Applied, apply

_SIGNS = {"create": "+", "update": "~", "unchanged": "="}


class Command(BaseCommand):
    help = "Applies pools and workload classes from YAML files. Applying a file twice changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("-f", "--file", action="append", required=True, help="a YAML file, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        parser.add_argument("--source", default="", help="the name that pages show as managing them (default: the file's name)")

        parser.add_argument("--prune", action="store_true", help="remove what --source declared before and leaves out now")

    def handle(self, *_: Any, file: list[str], dry_run: bool, source: str, prune: bool = False, **options: Any) -> None:
        if prune and not source:
            raise CommandError("--prune needs --source: name the source whose pools and classes are to be pruned.")
        failed = False
        with running_database():
            for name in file:
                done = apply(_robot(), _read(name), source or name, timezone.now(), dry_run=dry_run, prune=prune)
                failed |= bool(done.problems)
                self._say(name, done, dry_run)
        if failed:
            raise CommandError("Nothing of a file with mistakes was applied.")

    def _say(self, name: str, done: Applied, dry_run: bool) -> None:
        for problem in done.problems:
            where = f", {problem.field}" if problem.field else ""
            self.stderr.write(f"{name}:{problem.line}{where}: {problem.text}")
        for change in done.changes:
            self.stdout.write(f"{_SIGNS[change.action]} {change.kind} {change.name}: {change.action}")
            if change.action == "update":
                for path, before, after in change.fields:
                    self.stdout.write(f"    {path}: {before!r} → {after!r}")
        for kind, gone in done.removed:
            self.stdout.write(f"- {kind} {gone}: removed")
        if dry_run and not done.problems:
            self.stdout.write("A dry run: nothing was changed.")


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} cannot be read: {error}") from error


def _robot() -> User:
    """The account of command-line changes in the audit log."""
    user, made = User.objects.get_or_create(username="command-line", defaults={"role": Role.OPERATOR})
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user
