"""Gives each request an id, for its answer, its log lines and its audit entries, and records its origin."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from fleet.services.origin import Origin, coming_from, new_id

HEADER = "X-Request-ID"


class RequestIds:
    """The outermost middleware. A proxy's own id is kept if a proxy is configured; clients cannot set it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "") if settings.BEHIND_TLS else ""
        origin = Origin("api" if request.path.startswith("/api/") else "page", address_of(request), new_id(given))
        with coming_from(origin):
            response = self._get_response(request)
        response.headers[HEADER] = origin.request_id
        return response


def address_of(request: HttpRequest) -> str:
    """Returns the client's address: from the proxy's header if a proxy is configured, else from the socket."""
    rsplit = request.headers.get("X-Forwarded-For", "").rsplit(",", 1)[-1].strip() if settings.BEHIND_TLS else ""
    return rsplit or request.META.get("REMOTE_ADDR", "")
