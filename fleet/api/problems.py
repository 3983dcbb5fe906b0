"""Errors as RFC 9457 problem details."""

from __future__ import annotations

import math
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

CONTENT_TYPE = "application/problem+json"
_TITLES = {
    400: "The request cannot be understood",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "This address does not take that method",
    406: "No such format",
    409: "In conflict with the present state",
    415: "The body's type is not understood",
    429: "Too many requests",
    500: "Muster failed",
    503: "Muster is not available",
}


class Conflict(exceptions.APIException):
    """409: the request is sound, but not in the present state of things."""

    status_code = 409
    default_code = "conflict"


class Unavailable(exceptions.APIException):
    status_code = 503
    default_code = "unavailable"


def problem(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """The body of a problem answer."""
    return {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": detail, **members}


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. Field errors stand under `errors` as {"field": ["sentence"]}."""
    if isinstance(error, ValidationError):
        error = exceptions.ValidationError(getattr(error, "message_dict", None) or error.messages)
    response = exception_handler(error, context)
    if response is None:
        return None
    members: dict[str, Any] = {}
    if isinstance(error, exceptions.ValidationError):
        fields = error.detail if isinstance(error.detail, dict) else {"": list(error.detail)}
        members["errors"] = fields
        detail = "; ".join(f"{name}: {' '.join(map(str, texts))}".lstrip(": ") for name, texts in fields.items())
    elif isinstance(error, Http404 | exceptions.NotFound):
        detail = str(error) if str(error) and "matches the given query" not in str(error) else "There is nothing here."
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


@login_not_required
@csrf_exempt
def not_found(request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
    """For addresses under /api/ that no view answers, whoever asks and however: a sign-in page would say nothing to a script."""
    body = problem(404, f"{request.path} is no resource of this API. See /api/docs/.")
    return JsonResponse(body, status=404, content_type=CONTENT_TYPE)
