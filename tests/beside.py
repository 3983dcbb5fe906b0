"""Processes beside a test that work on the test's own database."""

from __future__ import annotations

import os

from django.conf import settings
from django.db import connections


def environment_beside(**more: str) -> dict[str, str]:
    """The environment of a process that shares the test's database and its clusters."""
    database = connections["default"].settings_dict
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "fleet.config.settings",
        "DATABASE_URL": f"postgres://{database['USER']}@/{database['NAME']}",
        "PGHOST": str(database["HOST"]),
        "MUSTER_KUBECONFIG": str(settings.MUSTER_KUBECONFIG),
        **more,
    }
