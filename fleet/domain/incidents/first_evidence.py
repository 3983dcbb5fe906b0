"""The earliest moment that the evidence of a finding names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec


class DatedCondition(msgspec.Struct, frozen=True):
    """A node condition and its last transition, by the API server's clock."""

    type: str
    status: str
    at: datetime | None


class DatedBurst(msgspec.Struct, frozen=True):
    """The first event of an Xid burst on a GPU."""

    uuid: str
    code: int
    at: datetime


def first_evidence(
    key: str,
    evidence: Iterable[Mapping[str, str]],
    opened: datetime,
    conditions: Iterable[DatedCondition] = (),
    bursts: Iterable[DatedBurst] = (),
) -> datetime:
    """Returns the earliest of: the transition of a condition that the finding rests on, the first of its Xid events, its opening.

    A condition counts where the evidence names its type and its present status; a burst where the finding's key names its GPU and
    code (`GPU-…/79`), or the evidence an Xid of the GPU that is the key.
    """
    rows = list(evidence)
    named = {(row.get("key", ""), row.get("value", "").partition(" ")[0]) for row in rows if row.get("source") == "condition"}
    codes = {row.get("value", "").partition(" ")[0] for row in rows if row.get("key") == "Xid"}
    uuid = key.partition("/")[0]
    moments = [row.at for row in conditions if row.at is not None and (row.type, row.status) in named]
    moments += [row.at for row in bursts if row.uuid == uuid and (key == f"{uuid}/{row.code}" or str(row.code) in codes)]
    return min((*moments, opened))
