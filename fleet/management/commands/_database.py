"""The database for one-shot commands, with or without a running `manage.py run`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from fleet.embedded import lock, paths
from fleet.embedded.postgres import Postgres
from fleet.embedded.processes import StartError


@contextmanager
def running_database(patience: float = 60.0) -> Iterator[None]:
    """Provides a running database for the block.

    One that DATABASE_URL names, or that of a `manage.py run` of the same data folder, is used as it is. Otherwise the
    embedded one is started, migrated and stopped again. `patience`, in seconds, is for a process that holds the folder
    and is not ready. Raises CommandError with a sentence.
    """
    if paths.database_url(settings.MUSTER_HOME) != settings.DATABASE_URL:
        yield
        return
    home_lock = lock.HomeLock(settings.MUSTER_HOME, " ".join(sys.argv[1:2]))
    try:
        acquired = _acquire(home_lock, patience)
    except StartError as error:
        raise CommandError(str(error)) from error
    if not acquired:
        yield
        return
    server = Postgres(settings.MUSTER_HOME)
    try:
        try:
            server.start()
            server.wait()
        except StartError as error:
            raise CommandError(str(error)) from error
        call_command("migrate", verbosity=0, interactive=False)
        yield
    finally:
        connections.close_all()
        server.stop()
        home_lock.release()


def _acquire(home_lock: lock.HomeLock, patience: float) -> bool:
    """Returns True once the folder is locked here, False once a `manage.py run` that holds it is ready."""
    deadline = time.monotonic() + patience
    while True:
        try:
            home_lock.acquire()
        except lock.HomeTakenError as error:
            if error.holder is not None and error.holder.command == "run" and error.holder.ready:
                return False
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return True
