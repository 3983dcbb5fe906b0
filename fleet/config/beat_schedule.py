"""When each periodic task is sent; one that waited longer than its `expires` (seconds) is dropped, the next is due by then."""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

SCHEDULE: dict[str, dict[str, Any]] = {
    "tick": {"task": "fleet.tasks.tick", "schedule": 5.0, "options": {"expires": 5}},
    "compliance": {"task": "fleet.tasks.compliance", "schedule": 60.0, "options": {"expires": 60}},
    "requests": {"task": "fleet.tasks.requests", "schedule": 60.0, "options": {"expires": 60}},
    "silence": {"task": "fleet.tasks.silence", "schedule": 15.0, "options": {"expires": 15}},
    "lost_runs": {"task": "fleet.tasks.lost_runs", "schedule": 30.0, "options": {"expires": 30}},
    "rollups": {"task": "fleet.tasks.rollups", "schedule": 60.0, "options": {"expires": 60}},
    "notify": {"task": "fleet.tasks.notify", "schedule": 5.0, "options": {"expires": 5}},
    "stream-audit": {"task": "fleet.tasks.stream_audit", "schedule": 5.0, "options": {"expires": 5}},
    "stranded_days": {"task": "fleet.tasks.stranded_days", "schedule": 3600.0, "options": {"expires": 3600}},
    "data_check": {"task": "fleet.tasks.data_check", "schedule": crontab(hour="3", minute="17"), "options": {"expires": 3600}},
    "retention": {"task": "fleet.tasks.retention", "schedule": 3600.0, "options": {"expires": 3600}},
}
