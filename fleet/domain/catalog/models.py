"""The loader of models.toml: models that people serve, by id."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One published model."""

    id: str
    title: str
    repository: str
    parameters: int
    """As published: the sum of the tensors."""
    active: int | None = None
    """As published for a mixture of experts, rounded by its publisher."""
    config: dict[str, Any]
    """In the shape of Hugging Face's config.json."""


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All of models.toml."""

    model: tuple[Model, ...]


@cache
def load() -> Catalog:
    """Returns the catalogue that ships with Muster; a malformed file fails loudly."""
    text = resources.files(__package__).joinpath("models.toml").read_bytes()
    return msgspec.toml.decode(text, type=Catalog)


@cache
def by_id() -> dict[str, Model]:
    """Model id to model, in the catalogue's order."""
    return {model.id: model for model in load().model}
