"""The one Django app, and the checks that name a bad deployment before anyone meets it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register


class FleetConfig(AppConfig):
    name = "fleet"
    verbose_name = "Muster"

    def ready(self) -> None:
        """Every process comes through here in its main thread: web, worker, beat, each command and the tests."""
        from fleet.collectors.warm_up import warm_up
        from fleet.models import scope, scope_views
        from fleet.services import audit_sign_ins

        audit_sign_ins.connect()
        scope.connect()
        scope_views.connect()
        if threading.current_thread() is threading.main_thread():
            warm_up()


@register(Tags.security)
def secret_key_is_given(**kwargs: Any) -> list[CheckMessage]:
    """Every process must sign with one key, or each sign-in holds for one worker only."""
    if settings.SECRET_KEY_IS_GIVEN or settings.DEBUG:
        return []
    return [
        Warning(
            "SECRET_KEY is not set: this process made one up.",
            hint="`manage.py run` keeps one by itself. Elsewhere set SECRET_KEY or SECRET_KEY_FILE, the same for all.",
            id="muster.W001",
        )
    ]


@register(Tags.compatibility)
def kubeconfig_is_there(**kwargs: Any) -> list[CheckMessage]:
    """A kubeconfig that is named must be readable."""
    if settings.IS_SIMULATED:
        return []
    return [
        Error(
            f"MUSTER_KUBECONFIG names {part}, which is not a readable file.",
            hint="Mount the file, or correct the path. Several files are separated by a colon.",
            id="muster.E001",
        )
        for part in settings.MUSTER_KUBECONFIG.split(":")
        if part and not Path(part).expanduser().is_file()
    ]


@register(Tags.security)
def hosts_are_named(**kwargs: Any) -> list[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "ALLOWED_HOSTS takes any host name.",
            hint="Name the hosts people type, separated by commas: muster.example.com",
            id="muster.W002",
        )
    ]
