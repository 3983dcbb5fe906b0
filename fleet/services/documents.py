"""Pools and classes from a file: all of it or nothing. Applying a file twice changes nothing, a dry run neither."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from fleet.domain.documents.documents import CLASS, POOL, Change, changes, read, write
from fleet.domain.documents.fields import Problem
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
def apply(actor: User, text: str, source: str, now: datetime, *, dry_run: bool = False, prune: bool = False) -> Applied:
    """Makes pools and classes what `text` declares, managed by `source` (a name people recognise: a path, a repository.

    Empty for what stays free to be changed on the pages).

    With `prune`, what the source declared earlier and leaves out now is removed. A stream without a document is refused: an empty
    file must not remove anything. Raises NotYours for people below operator.
    """
    known = {slug: declarations.pool_of(row) for slug, row in declarations.pools().items()}
    requested_spec = {slug: declarations.spec_of(version) for slug, version in declarations.newest_versions().items()}
    declared = read(text, known)
    if declared.problems:
        return Applied((), declared.problems)
    if not declared.pools and not declared.classes:
        return Applied((), (Problem(line=1, field="", text="The stream contains no pool and no class, so nothing was applied."),))
    left_out = _left_out(declared.pools, declared.classes, source) if prune else ()
    made = Applied(changes(declared, known, requested_spec), (), left_out)
    if dry_run:
        return made
    for spec in declared.pools:
        pools.save(actor, spec, now, managed_by=source)
    for class_spec in declared.classes:
        classes.save(actor, class_spec, now, managed_by=source)
    for kind, name in made.removed:
        (pools if kind == POOL else classes).remove(actor, name, now, managed_by=source)
    return made


def _left_out(pool_specs: tuple, class_specs: tuple, source: str) -> tuple[tuple[str, str], ...]:
    """Empty where the stream has no source: then what it declared before is unknown."""
    if not source:
        return ()
    now_pools = {pool_spec.slug for pool_spec in pool_specs}
    now_classes = {class_spec.slug for class_spec in class_specs}
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
        declarations.pool_specs(), [declarations.spec_of(version) for version in declarations.newest_versions().values()]
    )
