"""Pages for what went wrong. Under /api/ the answer is a problem document instead."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

_WORDS = {
    400: ("The request cannot be understood", "The address or the form was not complete."),
    403: ("Not allowed", "Your role does not allow this, or the page was open for too long: go back and try again."),
    404: ("Not found", "There is no such page, or the object was never known here."),
    500: ("Muster failed", "The error was logged. Nothing that was remembered is lost."),
}


def _answer(request: HttpRequest, status: int) -> HttpResponse:
    title, detail = _WORDS[status]
    if request.path.startswith("/api/"):
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return JsonResponse(body, status=status, content_type="application/problem+json")
    context = {"status": status, "title": title, "detail": detail, "request_id": uuid.uuid4().hex[:8]}
    return render(request, "errors/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 403)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return _answer(request, 404)


def failed(request: HttpRequest) -> HttpResponse:
    """Must work when nothing else does: no database, no context processors."""
    title, detail = _WORDS[500]
    if request.path.startswith("/api/"):
        body = {"type": "about:blank", "title": title, "status": 500, "detail": detail}
        return JsonResponse(body, status=500, content_type="application/problem+json")
    return HttpResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1><p>{detail}</p>",
        status=500,
    )
