"""`manage.py create_token USER`: an API token, alone on stdout."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.management.commands._database import running_database
from fleet.models import Role
from fleet.services.sign_in import create_token

MOST_DAYS = 36_500


class Command(BaseCommand):
    help = "Creates the user if needed and prints an API token, alone on stdout. It is shown once and stored as a digest."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--role", choices=Role.values, help="what the token may do; default: what its user may")
        parser.add_argument("--days", type=int, default=365, help="how long it is good for (365); 0 for ever")
        parser.add_argument("--name", default="", help="what it is for, to tell tokens apart")

    def handle(self, *args: Any, **options: Any) -> None:
        role = Role(options["role"]) if options["role"] else None
        days = options["days"]
        if not 0 <= days <= MOST_DAYS:
            raise CommandError(f"--days is {days}: give 1 to {MOST_DAYS:,}, or 0 for a token that is good for ever.")
        lifetime = timedelta(days=days) if days else None
        with running_database():
            token, secret = create_token(options["user"], role, lifetime, options["name"])
        until = f"until {token.expiry:%Y-%m-%d}" if token.expiry else "for ever"
        self.stderr.write(f"Token of {token.user.username}, role {token.role}, good {until}.")
        self.stdout.write(secret)
