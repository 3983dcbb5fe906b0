"""`manage.py create_token USER`: an API token, alone on stdout."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet.domain.refusals import Refused
from fleet.management.commands._database import running_database
from fleet.models import SCOPES, Role
from fleet.services import tokens

MOST_DAYS = tokens.MOST_DAYS


class Command(BaseCommand):
    help = "Creates the user if needed and prints an API token, alone on stdout. It is shown once and stored as a digest."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--role", choices=Role.values, help="role of the token; default: that of its user")
        parser.add_argument("--raise", action="store_true", dest="raise_role", help="let --role raise an existing user too")
        parser.add_argument("--scopes", help=f"comma-separated, of {', '.join(SCOPES)}; default: all that the role allows")
        parser.add_argument(
            "--clusters", help="comma-separated names of the only clusters it is valid for; default: those of its user"
        )
        parser.add_argument("--service", action="store_true", help="a new user is a service account, which never signs in")
        parser.add_argument("--days", type=int, default=365, help="days until it expires (365); 0 for no expiry")
        parser.add_argument("--name", default="", help="purpose of the token")

    def handle(self, *args: Any, **options: Any) -> None:
        role = Role(options["role"]) if options["role"] else None
        days = options["days"]
        if not 0 <= days <= MOST_DAYS:
            raise CommandError(f"--days is {days}: give 1 to {MOST_DAYS:,}, or 0 for a token without expiry.")
        scopes, clusters = options["scopes"], options["clusters"]
        try:
            with running_database():
                token, secret = tokens.create_from_command_line(
                    options["user"],
                    timezone.now(),
                    role=role,
                    lifetime=timedelta(days=days) if days else None,
                    name=options["name"],
                    scopes=None if scopes is None else [scope.strip() for scope in scopes.split(",") if scope.strip()],
                    clusters=None if clusters is None else [name.strip() for name in clusters.split(",") if name.strip()],
                    raise_role=options["raise_role"],
                    service=options["service"],
                )
        except Refused as error:
            raise CommandError(str(error)) from error
        until = f"until {token.expiry:%Y-%m-%d}" if token.expiry else "forever"
        self.stderr.write(f"Token of {token.user.username}, role {token.role}, scopes {', '.join(token.scopes)}, good {until}.")
        self.stdout.write(secret)
