"""`migrate` as Django has it, after a look at the server: containers and the chart migrate without `manage.py run`."""

from __future__ import annotations

from typing import Any

from django.core.management import CommandError
from django.core.management.commands import migrate
from django.db import connections

from fleet.embedded.fitness import refuse_old
from fleet.embedded.processes import StartError


class Command(migrate.Command):
    """Ends with one sentence where Postgres is too old: its tables could be made there, and then fail in use."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            refuse_old(connections[options["database"]])
        except StartError as error:
            raise CommandError(str(error)) from None
        super().handle(*args, **options)
