"""Error pages. Under /api/ the answer is a problem document instead."""

from __future__ import annotations

import sys
import uuid

from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from fleet.web.shell.people import RoleRequired

_WORDS = {
    400: ("Bad request", "The URL or the form data is not valid."),
    403: ("Not allowed", "Your role does not allow this, or the page has expired. Go back and try again."),
    404: ("Not found", "The page or object does not exist."),
    500: ("Internal error", "The error was logged. Recorded data is not affected."),
    503: (
        "Database unavailable",
        "The database does not respond. Recorded data is not affected; collection resumes afterwards. Try again in 10 s.",
    ),
}


def _answer(request: HttpRequest, status: int, why: str = "") -> HttpResponse:
    title, detail = _WORDS[status]
    detail = why or detail
    if request.path.startswith("/api/"):
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return JsonResponse(body, status=status, content_type="application/problem+json")
    context = {"status": status, "title": title, "detail": detail, "request_id": uuid.uuid4().hex[:8]}
    return render(request, "errors/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 403, str(exception) if isinstance(exception, RoleRequired) else "")


def not_found(request: HttpRequest, exception: object = None) -> HttpResponse:
    return _answer(request, 404)


RETRY_AFTER_S = 10
_OUTSIDE = "44000"
"""Postgres' code for a row that a limited person would write outside of it."""


def failed(request: HttpRequest) -> HttpResponse:
    """Answers for an exception that no view caught: 503 where the database is away, 400 where it refused a value of the request.

    Must work without database and context processors.
    """
    error = sys.exc_info()[1]
    if isinstance(error, DataError | OverflowError | UnicodeError):
        return _plain(request, 400)
    if error is not None and getattr(error.__cause__, "sqlstate", "") == _OUTSIDE:
        return _plain(request, 403)
    if isinstance(error, OperationalError | InterfaceError):
        answer = _plain(request, 503)
        answer["Retry-After"] = str(RETRY_AFTER_S)
        return answer
    return _plain(request, 500)


def _plain(request: HttpRequest, status: int) -> HttpResponse:
    title, detail = _WORDS[status]
    if request.path.startswith("/api/"):
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return JsonResponse(body, status=status, content_type="application/problem+json")
    return HttpResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1><p>{detail}</p>",
        status=status,
    )
