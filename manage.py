#!/usr/bin/env python3
"""Muster's commands. The first one ever given also makes .venv (see fleet/embedded/bootstrap.py)."""

import os
import sys


def main() -> None:
    from fleet.embedded import bootstrap

    bootstrap.ensure(sys.argv)
    from fleet.embedded import secret_key

    secret_key.provide(create=sys.argv[1:2] == ["run"])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleet.config.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        settings.configured or settings.INSTALLED_APPS  # noqa: B018  reads the environment, once
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
