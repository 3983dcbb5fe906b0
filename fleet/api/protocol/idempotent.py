"""Repeatable POSTs: Idempotency-Keys, and refusals of services as problem details."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol.problems import Conflict
from fleet.api.protocol.renderers import JSONRenderer
from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.models import User
from fleet.services import idempotency

KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Repeating a request with the same key and body returns the same answer.",
)


@contextmanager
def refusals() -> Iterator[None]:
    """Maps refusals of services: 400 with every invalid field, 403, 409."""
    try:
        yield
    except FieldError as error:
        raise ValidationError({field: [sentence] for field, sentence in error.fields}) from error
    except NotNow as error:
        raise Conflict(str(error)) from error
    except NotYours as error:
        raise PermissionDenied(str(error)) from error


def once(request: Request, user: User, done: int, act: Callable[[], object], check: Callable[[Any], object]) -> Response:
    """Runs `act`, which returns the answer; with an Idempotency-Key once for that key.

    `check` gets an answer before it is repeated, and raises where the caller may no longer see it.
    """

    def answer() -> tuple[int, object]:
        return done, msgspec.json.decode(JSONRenderer().render(act()))

    key = request.headers.get("Idempotency-Key", "")
    if len(key) > idempotency.LONGEST:
        raise ValidationError({"Idempotency-Key": [f"Use at most {idempotency.LONGEST} characters."]})
    with refusals():
        if not key:
            code, body = answer()
            return Response(body, status=code)
        sent = idempotency.sent(user, key, request.path, msgspec.json.encode(request.data, order="deterministic"))
        try:
            code, body, again = idempotency.once(sent, timezone.now(), answer, check)
        except idempotency.KeyReusedError as error:
            raise ValidationError({"Idempotency-Key": [str(error)]}) from error
    return Response(body, status=code, headers={"Idempotent-Replayed": "true"} if again else None)
