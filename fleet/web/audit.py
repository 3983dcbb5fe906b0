"""The audit log, for operators and administrators. Read-only."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone

from fleet.filters import AuditFilters
from fleet.selectors.audit import audit as select
from fleet.selectors.facets import facets
from fleet.web.shell.people import demand
from fleet.web.shell.render import render_page

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import QueryDict

PER_PAGE = 50
FACETS = ("action", "actor", "via")
WITHIN = (("", "All"), ("1", "24 h"), ("7", "7 days"), ("30", "30 days"))
_NOT_FILTERS = ("page",)


def audit_list(request: HttpRequest) -> HttpResponse:
    """Shows the audit log.

    Context: page (Page of AuditEntry), total, facets (list of Facet), errors, filters_on, q, within, withins, export_query,
    streams (list of AuditStream), kept_days, now.
    """
    demand(request, "operator")
    now = timezone.now()
    params = request.GET

    def context() -> dict[str, object]:
        asked = _asked(params, now)
        filterset = AuditFilters(asked, queryset=select.entries())
        valid = filterset.is_valid()
        result = filterset.qs if valid else select.entries().none()
        paginator = Paginator(result, PER_PAGE)
        filters = params.copy()
        for name in _NOT_FILTERS:
            filters.pop(name, None)
        export = asked.copy()
        export.pop("page", None)
        return {
            "page": paginator.get_page(params.get("page")),
            "total": paginator.count,
            "facets": facets(AuditFilters, FACETS, asked if valid else QueryDict(), select.entries()),
            "errors": [sentence for sentences in filterset.errors.values() for sentence in sentences],
            "filters_on": sum(1 for _, values in filters.lists() if any(values)),
            "q": params.get("q", ""),
            "within": params.get("within", "") if params.get("within") in dict(WITHIN) else "",
            "withins": WITHIN,
            "export_query": export.urlencode(),
            "streams": select.streams(),
            "kept_days": settings.AUDIT_RETENTION.days,
            "now": now,
        }

    # The entries of the last day change with time: every answer is new.
    version = None if params.get("within") else select.version()
    return render_page(request, "audit/list.html", "audit/_list.html", context, etag=version)


def _asked(params: QueryDict, now: datetime) -> QueryDict:
    """The address's filters, with `within` as a moment."""
    asked = params.copy()
    within = asked.pop("within", [""])[-1]
    if within and within in dict(WITHIN):
        asked["since"] = (now - timedelta(days=int(within))).isoformat()
    return asked
