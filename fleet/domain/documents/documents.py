"""Streams of pools and classes: read whole, written canonically, and what applying one would change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import yaml

from fleet.domain.classes.workload import ClassSpec
from fleet.domain.documents.classes import read_class, write_class
from fleet.domain.documents.fields import Fields, Problem
from fleet.domain.documents.pools import read_pool, write_pool
from fleet.domain.documents.reader import Plain, documents, fields_of
from fleet.domain.pools.policy import PoolSpec

API = "muster/v1"
POOL, CLASS = "Pool", "WorkloadClass"
KINDS = (POOL, CLASS)
_SLUG = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream declares. With problems, nothing of it may be applied."""

    pools: tuple[PoolSpec, ...] = ()
    classes: tuple[ClassSpec, ...] = ()
    problems: tuple[Problem, ...] = ()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What applying one document does. Fields are paths within its spec, with the values before and after (None: not set)."""

    kind: str
    name: str
    action: str
    """create, update or unchanged."""
    fields: tuple[tuple[str, Any, Any], ...] = ()


def read(text: str, known_pools: Iterable[str] = ()) -> Declared:
    """Everything a stream declares, and everything wrong with it. Never raises. `known_pools` are slugs that exist already."""
    problems: list[Problem] = []
    return _declared(documents(text, problems), known_pools, problems)


def read_one(kind: str, name: str, spec: Mapping[str, Plain], known_pools: Iterable[str] = ()) -> Declared:
    """Returns what a pool or class that was not written as YAML declares, by the rules and sentences of `read`."""
    problems: list[Problem] = []
    document: dict[str, Plain] = {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return _declared([fields_of(document, "", problems)], known_pools, problems)


def _declared(stream: Iterable[Fields], known_pools: Iterable[str], problems: list[Problem]) -> Declared:
    pools: list[PoolSpec] = []
    classes: list[tuple[ClassSpec, Fields]] = []
    seen: set[tuple[str, str]] = set()
    for document in stream:
        kind, name = _head(document)
        spec = document.mapping("spec")
        document.done()
        if not kind or not name:
            continue
        if (kind, name) in seen:
            document.wrong("metadata", f"{kind} {name} is declared twice.")
        seen.add((kind, name))
        if kind == POOL:
            pools.append(read_pool(name, spec))
        else:
            classes.append((read_class(name, spec), spec))
    there = {*known_pools, *(pool.slug for pool in pools)}
    for class_spec, spec in classes:
        for slug in class_spec.pools:
            if slug not in there:
                spec.wrong("pools", f"Pool {slug} does not exist.")
    rows = sorted(set(problems), key=lambda problem: (problem.line, problem.field, problem.text))
    return Declared(pools=tuple(pools), classes=tuple(class_spec for class_spec, _ in classes), problems=tuple(rows))


def _head(fields: Fields) -> tuple[str, str]:
    """Kind and name of a document; empty where one of them is wrong."""
    version, kind = fields.required("apiVersion"), fields.required("kind")
    if version and version != API:
        fields.wrong("apiVersion", f"“{version[:60]}” is not supported: use {API}.")
    if kind and kind not in KINDS:
        fields.wrong("kind", f"“{kind[:60]}” is none of {', '.join(KINDS)}.")
        kind = ""
    metadata = fields.mapping("metadata")
    name = metadata.required("name")
    metadata.done()
    if name and not _SLUG.fullmatch(name):
        metadata.wrong(
            "name",
            f"“{name[:80]}” is not a valid name: use 1 to 63 lowercase letters, digits and hyphens (RFC 1123).",
        )
        name = ""
    return kind, name


def write(pools: Iterable[PoolSpec] = (), classes: Iterable[ClassSpec] = ()) -> str:
    """Returns the stream that declares these, in the order given: reading it and applying it changes nothing."""
    made = [_document(POOL, pool.slug, write_pool(pool)) for pool in pools]
    made += [_document(CLASS, class_spec.slug, write_class(class_spec)) for class_spec in classes]
    return "---\n".join(yaml.safe_dump(item, sort_keys=False, allow_unicode=True, width=120) for item in made)


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def changes(declared: Declared, pools: Mapping[str, PoolSpec], classes: Mapping[str, ClassSpec]) -> tuple[Change, ...]:
    """What applying would do to the pools and classes that exist, by slug; in the order of the stream, pools first."""
    rows = [_change(POOL, pool.slug, pools.get(pool.slug), pool) for pool in declared.pools]
    return (
        *rows,
        *(
            _change(CLASS, workload_class.slug, classes.get(workload_class.slug), workload_class)
            for workload_class in declared.classes
        ),
    )


def _change(kind: str, name: str, before: PoolSpec | ClassSpec | None, after: PoolSpec | ClassSpec) -> Change:
    if before is None:
        return Change(kind=kind, name=name, action="create", fields=_differences({}, _flat(_spec(after))))
    fields = _differences(_flat(_spec(before)), _flat(_spec(after)))
    return Change(kind=kind, name=name, action="update" if fields else "unchanged", fields=fields)


def _spec(row: PoolSpec | ClassSpec) -> dict[str, Any]:
    return write_pool(row) if isinstance(row, PoolSpec) else write_class(row)


def _flat(spec: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Paths to values; a list is one value, because its order counts."""
    flat: dict[str, Any] = {}
    for name, value in spec.items():
        where = f"{path}.{name}" if path else name
        flat |= _flat(value, where) if isinstance(value, dict) else {where: value}
    return flat


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    paths = [*after, *(path for path in before if path not in after)]
    return tuple((path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path))
