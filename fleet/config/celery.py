"""The Celery application: `celery -A fleet.config.celery worker|beat`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, bootsteps
from celery.signals import before_task_publish, task_postrun, task_prerun

from fleet.config import heartbeat

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleet.config.settings")


class Heartbeat(bootsteps.StartStopStep):
    """Touches MUSTER_HEARTBEAT_FILE from the worker's own event loop, so that a blocked loop is noticed."""

    requires = {"celery.worker.components:Timer"}

    def start(self, parent: Any) -> None:
        heartbeat.touch()
        parent.timer.call_repeatedly(heartbeat.EVERY_S, heartbeat.touch)


app = Celery("muster")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["fleet"])
app.steps["worker"].add(Heartbeat)

_HEADER = "muster_request_id"


@before_task_publish.connect
def _send_request_id(headers: dict[str, Any], **_: Any) -> None:
    """A task has the id of the request that queued it."""
    from fleet.services import origin

    if origin.request_id():
        headers[_HEADER] = origin.request_id()


@task_prerun.connect
def _begin(task_id: str, task: Any, **_: Any) -> None:
    from fleet.services import origin

    given = getattr(task.request, _HEADER, None) or (task.request.headers or {}).get(_HEADER)
    origin.begin(origin.Origin("worker", "", origin.new_id(str(given or task_id))))


@task_postrun.connect
def _end(**_: Any) -> None:
    from fleet.services import origin

    origin.begin(None)
