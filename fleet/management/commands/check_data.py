"""`manage.py check_data`: whether the data contradicts itself."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from fleet.management.commands._database import running_database
from fleet.services import data_check


class Command(BaseCommand):
    help = "Checks the invariants of the database: one line per breach, exit 1 if there is any."
    requires_system_checks: list[str] = []

    def handle(self, *_: Any, **options: Any) -> None:
        with running_database():
            result = data_check.check(timezone.now())
        for sentence in result:
            self.stdout.write(sentence)
        if result:
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS("No breaches."))
