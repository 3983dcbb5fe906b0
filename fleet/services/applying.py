"""Pools and classes from a file: all of it or nothing, the same file twice changes nothing, a dry run changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from fleet.domain.declared.documents import CLASS, POOL, Change, changes, read, write
from fleet.domain.declared.reader import Problem
from fleet.models import User
from fleet.selectors import declarations
from fleet.services import classes, pools


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did, or would do; with problems it did nothing."""

    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    removed: tuple[tuple[str, str], ...] = ()
    """(kind, name) of what the same file declared before and no longer does: it is removed."""


@transaction.atomic
def apply(actor: User, text: str, source: str, now: datetime, *, dry_run: bool = False) -> Applied:
    """Makes pools and classes what `text` declares, managed by `source` (a name people recognise: a path, a repository; empty for
    what stays free to be changed on the pages).

    What the source declared earlier and leaves out now is removed. Raises NotYours for people below operator.
    """
    known = {slug: declarations.pool_of(row) for slug, row in declarations.pools().items()}
    promised = {slug: declarations.promise_of(version) for slug, version in declarations.newest_versions().items()}
    declared = read(text, known)
    if declared.problems:
        return Applied((), declared.problems)
    made = Applied(changes(declared, known, promised), (), _left_out(declared.pools, declared.classes, source))
    if dry_run:
        return made
    for spec in declared.pools:
        pools.save(actor, spec, now, managed_by=source)
    for promise in declared.classes:
        classes.save(actor, promise, now, managed_by=source)
    for kind, name in made.removed:
        (pools if kind == POOL else classes).remove(actor, name, now, managed_by=source)
    return made


def _left_out(pool_specs: tuple, promises: tuple, source: str) -> tuple[tuple[str, str], ...]:
    """Nothing where the stream has no source: then nobody can tell what it declared before."""
    if not source:
        return ()
    now_pools = {one.slug for one in pool_specs}
    now_classes = {one.slug for one in promises}
    gone = [
        (CLASS, slug)
        for slug, version in declarations.newest_versions().items()
        if version.workload_class.managed_by == source and slug not in now_classes
    ]
    gone += [(POOL, slug) for slug, row in declarations.pools().items() if row.managed_by == source and slug not in now_pools]
    return tuple(gone)


def export() -> str:
    """Every pool and class as one stream; applying it changes nothing."""
    return write(
        declarations.pool_specs(), [declarations.promise_of(version) for version in declarations.newest_versions().values()]
    )
