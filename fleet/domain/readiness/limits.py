"""Grace periods and lifetimes of evidence that the ladder uses."""

from __future__ import annotations

from datetime import timedelta

START_GRACE = timedelta(minutes=10)
"""Time that a component of the GPU stack may take to start: driver images are gigabytes."""
LOAD_GRACE = timedelta(minutes=30)
"""Time that a model server may take to become ready: large weights load from slow storage."""
CHANGE_STUCK_AFTER = timedelta(hours=1)
"""Duration after which a driver upgrade or a MIG change is stuck and no longer intentional."""
PROOF_LASTS = timedelta(hours=24)
"""Lifetime of a workload's evidence for runtime or CUDA on a node that has not rebooted and shows no failure: a node does not
break because its last job ended."""
PROOF_RENEWED_AFTER = timedelta(hours=1)
"""Minimum time between two records of ongoing evidence, so that a busy node is not written in every run."""
SERVED_RECENTLY = timedelta(hours=24)
"""Time within which a ready or serving model server counts as evidence."""
REFUSED_RECENTLY = timedelta(minutes=15)
"""Age after which a pod refused by the kubelet no longer counts as evidence."""
