"""Health endpoints for probes and for Prometheus. They need no sign-in; with MUSTER_METRICS_TOKEN set they tell names of
clusters and products only to whoever brings it."""

from __future__ import annotations

import hmac
import logging

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu import Connection
from kombu.exceptions import OperationalError as BrokerError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from fleet.selectors import clusters
from fleet.selectors.metrics import FleetCollector

log = logging.getLogger(__name__)


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Database, broker, and the age in seconds of each cluster's newest reading; 503 where the first two fail.

    Without the token, where one is set: only whether it is ready, and the names of what is not. Why it is not stands in the log,
    and is told only to who brings a token.
    """
    problems: dict[str, str] = {}
    ages: dict[str, float | None] = {}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        now = timezone.now()
        ages = {row.name: round((now - row.read_at).total_seconds(), 1) if row.read_at else None for row in clusters.clusters()}
    except OperationalError as error:
        problems["database"] = str(error).split("\n")[0]
        log.warning("Not ready, the database does not answer: %s", problems["database"])
    try:
        with Connection(settings.CELERY_BROKER_URL, connect_timeout=2) as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except (BrokerError, OSError) as error:
        problems["broker"] = str(error)
        log.warning("Not ready, the broker does not answer: %s", problems["broker"])
    if not _has_token(request):  # such a text names hosts, ports and accounts
        problems = dict.fromkeys(problems, "It does not answer.")
    body: dict[str, object] = {"ready": not problems, "problems": problems, "collection_age_seconds": ages}
    if not _may_see_names(request):
        body = {"ready": not problems, "problems": problems}
    return JsonResponse(body, status=503 if problems else 200)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text: read from Postgres at each scrape, so that any web process answers for all."""
    if not _may_see_names(request):
        refusal = "Set the bearer token of MUSTER_METRICS_TOKEN in the scrape configuration.\n"
        return HttpResponse(refusal, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_see_names(request: HttpRequest) -> bool:
    return not settings.METRICS_TOKEN or _has_token(request)


def _has_token(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    if not token:
        return False
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
