"""Muster's own work at a moment of the scripted day: one pass over the cluster, and what beat would have done by then.

Run as a program it takes moments from its standard input, one a line, and answers each with `done`; so it can be killed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from unittest import mock


@contextmanager
def clock_at(at: datetime) -> Iterator[None]:
    """Time is the one thing that is made up here."""
    with mock.patch("django.utils.timezone.now", return_value=at):
        yield


def look(cluster_name: str, at: datetime) -> None:
    """The sweep for clusters that are silent, one pass, and the notices that have become due."""
    from fleet.models import Cluster
    from fleet.services import staleness
    from fleet.services.collection import collect_cluster
    from fleet.services.notifications import send

    with clock_at(at):
        staleness.sweep(at)
        while collect_cluster(Cluster.objects.get(name=cluster_name), trigger="schedule", deadline_s=20) is None:
            time.sleep(0.05)  # the lock of a worker that was just killed
        send.notify(lambda: at)


def main() -> None:
    import django

    django.setup()
    for line in sys.stdin:
        look(sys.argv[1], datetime.fromisoformat(line.strip()))
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
