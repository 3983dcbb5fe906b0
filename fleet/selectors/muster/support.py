"""Content of a support bundle: versions, settings, sizes, recent runs and errors. No secrets, and no workloads of clusters."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from datetime import datetime
from importlib import metadata
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from fleet.models import Cluster, CollectionRun, Delivery
from fleet.selectors.audit import chain as audit_chain

REMOVED = "[removed]"
RUNS = 50
_SHORTEST = 6
"""Shorter values are not secrets: they could be any word."""
_PATTERNS = (
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),  # user and password of a URL
    re.compile(r"(?i)(?<=bearer )\S+"),
    re.compile(r"\bm(?:uster|hs)_[A-Za-z0-9_-]{8,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+"),  # JSON web tokens
    re.compile(r"(?<=/sign-in/)(?!link/)[A-Za-z0-9_%-]{8,}"),
    re.compile(r"-----BEGIN [A-Z ]*KEY-----.*?-----END [A-Z ]*KEY-----", re.DOTALL),
)
_SECRET_NAMES = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL|PRIVATE|_KEY(?:_|$)|KEY$|WEBHOOK$|DATABASES$|LOCATION|CACHES$")


def about(now: datetime) -> dict[str, object]:
    """Returns the versions and sizes of this installation."""
    report = audit_chain.verify()
    return {
        "at": now.isoformat(),
        "muster": settings.VERSION,
        "python": platform.python_version(),
        "system": platform.platform(),
        "postgres": _one("SHOW server_version"),
        "packages": dict(sorted((item.metadata["Name"], item.version) for item in metadata.distributions())),
        "migrations": _column("SELECT name FROM django_migrations WHERE app = 'fleet' ORDER BY id"),
        "rows": {str(name): rows for name, rows in _rows("SELECT relname, n_live_tup FROM pg_stat_user_tables ORDER BY relname")},
        "database_bytes": _one("SELECT pg_database_size(current_database())"),
        "audit": {"entries": report.number, "days": len(report.days), "breaches": report.breaches},
    }


def configuration() -> dict[str, str]:
    """Returns every setting of Muster and Django by name; those with a name that suggests a secret are left out."""
    names = sorted(name for name in dir(settings) if name.isupper() and not _SECRET_NAMES.search(name))
    return {name: repr(getattr(settings, name))[:500] for name in names}


def runs() -> list[dict[str, object]]:
    """Returns the newest collection runs, with their errors."""
    newest = CollectionRun.objects.select_related("cluster").order_by("-started_at")[:RUNS]
    return [
        {
            "cluster": run.cluster.name,
            "trigger": run.trigger,
            "started_at": run.started_at.isoformat(),
            "finished_at": run.finished_at.isoformat() if run.finished_at else None,
            "outcome": run.outcome,
            "error": run.error,
        }
        for run in newest
    ]


def clusters() -> list[dict[str, object]]:
    """Returns the clusters with the age and outcome of their newest run."""
    rows = Cluster.objects.order_by("name")
    return [
        {
            "name": row.name,
            "platform": row.platform,
            "server_version": row.server_version,
            "read_at": row.read_at.isoformat() if row.read_at else None,
            "outcome": row.outcome,
            "error": row.error,
            "removed": row.removed_at is not None,
        }
        for row in rows
    ]


def failed_deliveries() -> list[dict[str, object]]:
    """Returns the newest deliveries that failed, without their address."""
    failed = Delivery.objects.filter(state=Delivery.State.FAILED).order_by("-pk")[:RUNS]
    return [{"target": item.target_name, "created_at": item.created_at.isoformat(), "error": item.error} for item in failed]


class Redaction:
    """Removes secrets from texts: those that this installation knows, and whatever looks like one."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        known = {str(getattr(settings, name)) for name in dir(settings) if _SECRET_NAMES.search(name) and _is_text(name)}
        known |= set(settings.SECRET_KEY_FALLBACKS) | set(more)
        for name in ("DATABASE_URL", "MUSTER_BROKER_URL", "AUDIT_WEBHOOK"):
            parts = urlsplit(str(getattr(settings, name, "")))
            known |= {parts.password or "", parts.query if name == "AUDIT_WEBHOOK" else "", f"{parts.username}:{parts.password}"}
        self._known = sorted((text for text in known if len(text) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._known:
            text = text.replace(secret, REMOVED)
        for pattern in _PATTERNS:
            text = pattern.sub(REMOVED, text)
        return text


def _is_text(name: str) -> bool:
    return name.isupper() and isinstance(getattr(settings, name), str)


def _rows(sql: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _column(sql: str) -> list[object]:
    return [row[0] for row in _rows(sql)]


def _one(sql: str) -> object:
    return _rows(sql)[0][0]
