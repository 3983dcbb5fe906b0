"""Endpoints for machines: probes, Prometheus, and security.txt (RFC 9116).

They need no sign-in; names of clusters and products require the token, unless MUSTER_METRICS_PUBLIC is set.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Generic, TypeVar

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import OperationalError, connections
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from psycopg import sql

from fleet.selectors.muster import alarms
from fleet.selectors.muster.metrics import FleetCollector
from fleet.services import broker

log = logging.getLogger(__name__)
_SECURITY_TXT_VALID = timedelta(days=180)
T = TypeVar("T")
LONGEST_S = 0.9
"""For each of database and broker: a probe is answered within 2 s, even if one of them hangs."""


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether the process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Database, broker, and the age in seconds of each cluster's newest collection run; 503 where the first two fail.

    `warnings` name problems of Muster with which it still answers: overdue clusters, clocks, contradictory data.

    Without the token: only whether it is ready, and the names of what is not. The reasons are in the log, and in the answer with
    the token.
    """
    problems: dict[str, str] = {}
    ages: dict[str, float | None] = {}
    warnings: dict[str, str] = {}
    until = time.monotonic() + 2 * LONGEST_S
    database, queue, own = _DATABASE.start(), _BROKER.start(), _WARNINGS.start()
    if reason := _reason(database):
        problems["database"] = reason
        log.warning("Not ready, the database: %s", reason)
    else:
        ages = database.result()
    if reason := _reason(queue):
        problems["broker"] = reason
        log.warning("Not ready, the broker: %s", reason)
    if not problems and _reason(own, until - time.monotonic()) == "":
        warnings = own.result()
    if not _has_token(request):  # the text names hosts, ports and accounts
        problems = dict.fromkeys(problems, "It cannot be used.")
    if not _may_see_names(request):  # the sentence contains the number of clusters
        warnings = dict.fromkeys(warnings, "Details require the token.")
    body: dict[str, object] = {"ready": not problems, "problems": problems, "warnings": warnings}
    if _may_see_names(request):
        body["collection_age_seconds"] = ages
    return JsonResponse(body, status=503 if problems else 200)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text: read from Postgres at each scrape, so that any web process answers for all."""
    if not _may_see_names(request):
        refusal = (
            "Set a bearer token in the scrape configuration: MUSTER_METRICS_TOKEN, or what `manage.py metrics_token` prints.\n"
        )
        return HttpResponse(refusal, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _check_database() -> dict[str, float | None]:
    """Returns each cluster's age in seconds, over a connection of its own. Raises where the database cannot be used."""
    connection = connections["default"].copy()
    connection.settings_dict["OPTIONS"] |= {"connect_timeout": 2, "options": "-c statement_timeout=1500 -c lock_timeout=500"}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery()")
            (read_only,) = cursor.fetchone()
            if read_only:
                raise OperationalError("The database is read-only: Muster cannot record anything.")
            cursor.execute(
                sql.SQL("SELECT name, extract(epoch FROM now() - read_at) FROM {} WHERE removed_at IS NULL ORDER BY name").format(
                    sql.Identifier("fleet_cluster")
                )
            )
            # never below 0, where a clock was ahead
            return {name: None if age is None else max(0.0, round(float(age), 1)) for name, age in cursor.fetchall()}
    finally:
        connection.close()


def _check_warnings() -> dict[str, str]:
    """Returns alarm to sentence, without names."""
    try:
        second = alarms.second_installation()
        return {alarm.id: alarm.text for alarm in (*alarms.alarms(timezone.now()), *([second] if second else []))}
    finally:
        connections["default"].close()  # this thread's own


def _check_broker() -> None:
    broker.check_writable(settings.CELERY_BROKER_URL, timeout_s=1)


class _Probe(Generic[T]):
    """Runs one check in a thread, once at a time: a check that hangs is waited for, not started again by every prober."""

    def __init__(self, check: Callable[[], T]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readyz")
        self._running: Future[T] | None = None

    def start(self) -> Future[T]:
        with self._lock:
            if self._running is None or self._running.done():
                self._running = self._pool.submit(self._check)
            return self._running


_DATABASE, _BROKER, _WARNINGS = _Probe(_check_database), _Probe(_check_broker), _Probe(_check_warnings)


def _reason(check: Future[T], patience_s: float = LONGEST_S) -> str:
    """Returns why a check failed, in one line; empty where it did not."""
    try:
        error = check.exception(max(0.0, patience_s))
    except TimeoutError:
        return f"It did not answer within {LONGEST_S:g} s."
    return (str(error).strip().splitlines() or [type(error).__name__])[0] if error is not None else ""


def _may_see_names(request: HttpRequest) -> bool:
    return settings.METRICS_ARE_PUBLIC or _has_token(request)


def _has_token(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


@login_not_required
@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """Returns the contact for vulnerabilities of this installation.

    404 where MUSTER_SECURITY_CONTACT is not set: an unread address is worse than none.
    """
    if not settings.SECURITY_CONTACT:
        raise Http404
    expires = (timezone.now() + _SECURITY_TXT_VALID).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [f"Contact: {settings.SECURITY_CONTACT}", f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}", "Preferred-Languages: en"]
    if settings.PUBLIC_URL:
        lines.append(f"Canonical: {settings.PUBLIC_URL}/.well-known/security.txt")
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
