"""Streams of pools and classes: read whole, written canonically, and what applying one would change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import yaml

from fleet.domain.classes.workload import WorkloadClass
from fleet.domain.declared.classes import read_class, write_class
from fleet.domain.declared.pools import read_pool, write_pool
from fleet.domain.declared.reader import Fields, Problem, documents
from fleet.domain.pools.policy import Pool

API = "muster/v1"
POOL, CLASS = "Pool", "WorkloadClass"
KINDS = (POOL, CLASS)
_SLUG = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream declares. Where there are problems nothing of it is to be applied."""

    pools: tuple[Pool, ...] = ()
    classes: tuple[WorkloadClass, ...] = ()
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
    pools: list[Pool] = []
    classes: list[tuple[WorkloadClass, Fields]] = []
    seen: set[tuple[str, str]] = set()
    for told in documents(text, problems):
        kind, name = _head(told)
        spec = told.mapping("spec")
        told.done()
        if not kind or not name:
            continue
        if (kind, name) in seen:
            told.wrong("metadata", f"{kind} {name} is declared twice.")
        seen.add((kind, name))
        if kind == POOL:
            pools.append(read_pool(name, spec))
        else:
            classes.append((read_class(name, spec), spec))
    there = {*known_pools, *(pool.slug for pool in pools)}
    for promise, spec in classes:
        for slug in promise.pools:
            if slug not in there:
                spec.wrong("pools", f"There is no pool {slug}.")
    found = sorted(set(problems), key=lambda one: (one.line, one.field, one.text))
    return Declared(pools=tuple(pools), classes=tuple(promise for promise, _ in classes), problems=tuple(found))


def _head(told: Fields) -> tuple[str, str]:
    """Kind and name of a document; empty where one of them is wrong."""
    version, kind = told.required("apiVersion"), told.required("kind")
    if version and version != API:
        told.wrong("apiVersion", f"“{version[:60]}” is not read here: write {API}.")
    if kind and kind not in KINDS:
        told.wrong("kind", f"“{kind[:60]}” is none of {', '.join(KINDS)}.")
        kind = ""
    metadata = told.mapping("metadata")
    name = metadata.required("name")
    metadata.done()
    if name and not _SLUG.fullmatch(name):
        metadata.wrong("name", f"“{name[:80]}” is no name: at most 63 small letters, digits and dashes, no dash at an end.")
        name = ""
    return kind, name


def write(pools: Iterable[Pool] = (), classes: Iterable[WorkloadClass] = ()) -> str:
    """The stream that declares these, in the order given: reading it and applying it changes nothing."""
    made = [_document(POOL, pool.slug, write_pool(pool)) for pool in pools]
    made += [_document(CLASS, promise.slug, write_class(promise)) for promise in classes]
    return "---\n".join(yaml.safe_dump(one, sort_keys=False, allow_unicode=True, width=120) for one in made)


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def changes(declared: Declared, pools: Mapping[str, Pool], classes: Mapping[str, WorkloadClass]) -> tuple[Change, ...]:
    """What applying would do to the pools and classes that exist, by slug; in the order of the stream, pools first."""
    found = [_change(POOL, one.slug, pools.get(one.slug), one) for one in declared.pools]
    return (*found, *(_change(CLASS, one.slug, classes.get(one.slug), one) for one in declared.classes))


def _change(kind: str, name: str, before: Pool | WorkloadClass | None, after: Pool | WorkloadClass) -> Change:
    if before is None:
        return Change(kind=kind, name=name, action="create", fields=_differences({}, _flat(_spec(after))))
    fields = _differences(_flat(_spec(before)), _flat(_spec(after)))
    return Change(kind=kind, name=name, action="update" if fields else "unchanged", fields=fields)


def _spec(one: Pool | WorkloadClass) -> dict[str, Any]:
    return write_pool(one) if isinstance(one, Pool) else write_class(one)


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
