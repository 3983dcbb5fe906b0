"""OpenAPI: adapts drf-spectacular to the conventions of this API."""

from __future__ import annotations

from typing import cast

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry

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
    """Adds tags from the first part of the path, and the problem responses of every operation."""

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").split("/")[0]]

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, dict[str, object]] | None:
        operation: dict[str, dict[str, object]] | None = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation is not None:
            reference = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
            for status, words in (("400", "A parameter is wrong"), ("401", "Not signed in"), ("403", "Not allowed")):
                operation["responses"].setdefault(status, {"description": words, **reference})
            operation["responses"].setdefault("406", {"description": "No such format", **reference})
            for parameter in cast("list[dict[str, dict[str, object]]]", operation.get("parameters", [])):
                if parameter["schema"].get("type") == "boolean":
                    parameter["schema"].pop("enum", None)  # of django-filter's choices: "true" and "false" as texts
            if "{" in self.path:
                operation["responses"].setdefault("404", {"description": "Not found", **reference})
            if method != "GET":  # services refuse what the current state does not allow (idempotent.refusals)
                operation["responses"].setdefault("409", {"description": "Conflict with the current state", **reference})
            if "requestBody" in operation:
                operation["responses"].setdefault("415", {"description": "No such content type", **reference})
            operation["responses"].setdefault("429", {"description": "Too many requests", **reference})
        return operation


def add_problem(result: dict[str, dict[str, dict[str, object]]], **kwargs: object) -> dict[str, dict[str, dict[str, object]]]:
    """Post-processing hook: the schema every error refers to."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    return result
