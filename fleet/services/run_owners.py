"""Which process carries out a collection run, and why a run ended without its process saying so."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from django.db import connection

from fleet.embedded import memory, processes
from fleet.models import CollectionRun, LossCause, RunOutcome


class Loss(NamedTuple):
    """How a run is closed that its own process could not close."""

    outcome: RunOutcome
    cause: LossCause
    sentence: str


def this_process() -> dict[str, str | int | None]:
    """Returns host, pid, start and the kernel's count of memory kills: what `loss` compares with later."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": processes.started(pid), "memory_kills": memory.kills()}


def loss(run: CollectionRun) -> Loss:
    """Returns why a run is still marked as running although its cluster's lock is free.

    A process that lives has lost its database; one that is gone has died, killed by the kernel if its counter of kills for lack
    of memory has risen. A process on another host cannot be looked up.
    """
    owner = run.worker
    if owner.get("host") != socket.gethostname():
        host = f" on {owner['host']}" if owner.get("host") else ""
        return _lost(LossCause.UNKNOWN, f"The worker{host} died or lost its database during this run.")
    pid = int(owner["pid"])
    if processes.alive(pid) and processes.started(pid) == owner.get("started"):
        return Loss(RunOutcome.FAILED, LossCause.DATABASE, f"The database connection was lost during this run. {NOTHING}")
    if _database_restarted_since(run):
        return _lost(LossCause.UNKNOWN, "The worker and the database ended during this run.")
    if memory.killed_since(owner.get("memory_kills")):
        return _lost(LossCause.MEMORY, "The worker was killed during this run: the kernel ended a process for lack of memory.")
    return _lost(LossCause.WORKER, "The worker died during this run.")


NOTHING = "Nothing of it was recorded."


def _lost(cause: LossCause, sentence: str) -> Loss:
    return Loss(RunOutcome.LOST, cause, f"{sentence} {NOTHING}")


def _database_restarted_since(run: CollectionRun) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_postmaster_start_time() > %s", [run.started_at])
        return bool(cursor.fetchone()[0])
