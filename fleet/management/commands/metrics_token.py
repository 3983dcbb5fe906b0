"""`manage.py metrics_token`: the bearer token of /metrics, alone on stdout."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = (
        "Prints the bearer token of /metrics and of the details of /readyz: MUSTER_METRICS_TOKEN, else one of this data folder."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SECRET_KEY_IS_GIVEN:
            raise CommandError(
                "SECRET_KEY is not set, so there is no token yet. Start Muster first, or set MUSTER_METRICS_TOKEN."
            )
        self.stdout.write(settings.METRICS_TOKEN)
