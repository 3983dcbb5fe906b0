"""Rows with the rows that they refer to, without their JSON documents."""

from __future__ import annotations

from typing import TypeVar, cast

from django.db.models import ForeignKey, JSONField, Model, QuerySet

Rows = TypeVar("Rows", bound=QuerySet)


def joined(rows: Rows, *paths: str, keep: tuple[str, ...] = ()) -> Rows:
    """Returns `rows` with the rows at these paths (`node`, `node__cluster`), as `select_related`, but without their JSON fields.

    A cluster's and a node's documents take hundreds of kB and would be sent and parsed again for every row that refers to them.
    A document that is read nevertheless costs another query. `keep` names small ones that every row needs.
    """
    fields = [(path, field) for path in paths for field in _at(rows.model, path)._meta.concrete_fields]
    documents = {f"{path}__{field.name}" for path, field in fields if isinstance(field, JSONField)}
    return rows.select_related(*paths).defer(*documents.difference(keep))


def _at(model: type[Model], path: str) -> type[Model]:
    for name in path.split("__"):
        model = cast(ForeignKey, model._meta.get_field(name)).related_model
    return model
