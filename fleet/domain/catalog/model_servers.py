"""The loader of model_servers.toml: which pods are model servers, and what they call their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

import msgspec

_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/component", "app")


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of model server."""

    kind: str
    images: tuple[str, ...]
    labels: tuple[str, ...] = ()
    port: int
    paths: tuple[str, ...]
    names: dict[str, tuple[str, ...]]
    """Field of domain.telemetry.ModelServer to the names on the wire, best first."""


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All of model_servers.toml."""

    server: tuple[Server, ...]


@cache
def load() -> Catalog:
    """Returns the catalogue that ships with Muster; a malformed file fails loudly."""
    text = resources.files(__package__).joinpath("model_servers.toml").read_bytes()
    return msgspec.toml.decode(text, type=Catalog)


@cache
def by_kind() -> dict[str, Server]:
    return {server.kind: server for server in load().server}


def by_image(images: Iterable[str]) -> Server | None:
    """Returns the kind of model server that one of these images is, or None."""
    names = [f"/{_without_tag(image)}" for image in images]
    return next((server for server in load().server if any(_is(part, name) for name in names for part in server.images)), None)


def by_labels(labels: Mapping[str, str]) -> Server | None:
    """Returns the kind that a pod's labels name, or None. Proxies in front of a server may have them, too."""
    rows = {labels[key] for key in _LABELS if key in labels}
    return next((server for server in load().server if rows.intersection(server.labels)), None)


def _is(part: str, name: str) -> bool:
    return part in name if part.endswith("/") else name.endswith(part)


def _without_tag(image: str) -> str:
    path, _, last = image.partition("@")[0].rpartition("/")
    return f"{path}/{last.partition(':')[0]}" if path else last.partition(":")[0]
