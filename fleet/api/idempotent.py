"""POSTs that may be sent again: what a service refuses as problem details, and Idempotency-Keys."""

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

from fleet.api.problems import Conflict
from fleet.api.renderers import JSONRenderer
from fleet.domain.asking import FieldError, NotNow, NotYours
from fleet.models import User
from fleet.services import idempotency

KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="The same key and body again give the same answer again."
)


@contextmanager
def refusals() -> Iterator[None]:
    """What the services of requests and teams refuse: 400 with every field that is wrong, 403, 409."""
    try:
        yield
    except FieldError as error:
        raise ValidationError({field: [sentence] for field, sentence in error.fields}) from error
    except NotNow as error:
        raise Conflict(str(error)) from error
    except NotYours as error:
        raise PermissionDenied(str(error)) from error


def once(request: Request, user: User, done: int, act: Callable[[], Any]) -> Response:
    """Runs `act`, which gives what to answer with; with an Idempotency-Key once for that key."""

    def answer() -> tuple[int, Any]:
        return done, msgspec.json.decode(JSONRenderer().render(act()))

    key = request.headers.get("Idempotency-Key", "")
    if len(key) > idempotency.LONGEST:
        raise ValidationError({"Idempotency-Key": [f"Use at most {idempotency.LONGEST} characters."]})
    with refusals():
        if not key:
            code, body = answer()
            return Response(body, status=code)
        sent = msgspec.json.encode(request.data, order="deterministic")
        try:
            code, body, again = idempotency.once(user, key, request.path, sent, timezone.now(), answer)
        except idempotency.KeyReusedError as error:
            raise ValidationError({"Idempotency-Key": [str(error)]}) from error
    return Response(body, status=code, headers={"Idempotent-Replayed": "true"} if again else None)
