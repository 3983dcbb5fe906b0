"""Errors as RFC 9457 problem details."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

CONTENT_TYPE = "application/problem+json"
_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Format not available",
    409: "Conflict with the current state",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Internal error",
    503: "Muster is not available",
}


class Conflict(exceptions.APIException):
    """409: the request is valid, but not in the current state."""

    status_code = 409
    default_code = "conflict"


class Unavailable(exceptions.APIException):
    status_code = 503
    default_code = "unavailable"


def problem(status: int, detail: str, **members: object) -> dict[str, object]:
    """The body of a problem answer."""
    return {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": detail, **members}


def problem_details(error: Exception, context: dict[str, object]) -> Response | None:
    """DRF's exception handler. Field errors are under `errors` as {"field": ["sentence"]}."""
    if isinstance(error, ValidationError):
        error = exceptions.ValidationError(getattr(error, "message_dict", None) or error.messages)
    response = exception_handler(error, context)
    if response is None:
        return None
    members: dict[str, object] = {}
    if isinstance(error, exceptions.ValidationError):
        fields = {name: list(_sentences(texts)) for name, texts in _by_field(error.detail).items()}
        members["errors"] = fields
        detail = "; ".join(f"{name}: {' '.join(map(str, texts))}".lstrip(": ") for name, texts in fields.items())
    elif isinstance(error, Http404 | exceptions.NotFound):
        detail = str(error) if str(error) and "matches the given query" not in str(error) else "Not found."
    elif isinstance(error, PermissionDenied):
        detail = "Your role does not allow this."
    else:
        detail = str(getattr(error, "detail", error))
    wait = getattr(error, "wait", None)
    if wait is not None:
        response["Retry-After"] = str(math.ceil(wait))
    set_rollback()
    response.data = problem(response.status_code, detail, **members)
    response.content_type = CONTENT_TYPE
    return response


def _by_field(detail: object) -> Mapping[str, object]:
    return detail if isinstance(detail, Mapping) else {"": detail}


def _sentences(texts: object, where: str = "") -> Iterator[str]:
    """Yields the sentences of a field; those of list items or object fields begin with their path."""
    if isinstance(texts, Mapping):
        for place, inner in texts.items():
            yield from _sentences(inner, f"{where}.{place}" if where else str(place))
    elif isinstance(texts, list | tuple):
        for inner in texts:
            yield from _sentences(inner, where)
    else:
        yield f"{where}: {texts}" if where else str(texts)


@login_not_required
@csrf_exempt
def not_found(request: HttpRequest, *args: object, **kwargs: object) -> JsonResponse:
    """Returns 404 as JSON for unknown paths under /api/: a script cannot use a sign-in page."""
    body = problem(404, f"{request.path} does not exist in this API. See /api/docs/.")
    return JsonResponse(body, status=404, content_type=CONTENT_TYPE)
