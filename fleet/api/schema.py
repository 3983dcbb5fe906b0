"""OpenAPI: the one place that tells drf-spectacular about our own habits."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    },
}


class Schema(AutoSchema):
    """Tags by the first word of the path, and the problem answers that every operation may give."""

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").split("/")[0]]

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            reference = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
            for status, words in (("400", "A parameter is wrong"), ("401", "Not signed in"), ("403", "Not allowed")):
                operation["responses"].setdefault(status, {"description": words, **reference})
            if "{" in self.path:
                operation["responses"].setdefault("404", {"description": "Not found", **reference})
            operation["responses"].setdefault("429", {"description": "Too many requests", **reference})
        return operation


def add_problem(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Post-processing hook: the schema every error refers to."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    return result
