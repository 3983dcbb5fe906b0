"""Objects of a snapshot that were left out or shortened because Kubernetes would not have accepted them."""

from __future__ import annotations

import msgspec


class ObjectProblem(msgspec.Struct, frozen=True, order=True):
    """One object that Muster did not take as it was sent."""

    kind: str
    """node, pod, sample … (the singular of the list it came in)."""
    name: str
    text: str
    """One sentence: what was wrong and what Muster did."""
    left_out: bool = True
    """False where the object was kept with shortened values."""
