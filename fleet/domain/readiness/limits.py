"""How long the ladder waits and how long it believes, in one place."""

from __future__ import annotations

from datetime import timedelta

START_GRACE = timedelta(minutes=10)
"""A part of the GPU stack may take so long to start: images of drivers are gigabytes."""
LOAD_GRACE = timedelta(minutes=30)
"""A model server may take so long to become ready: weights of large models are read from slow places."""
CHANGE_STUCK_AFTER = timedelta(hours=1)
"""A driver upgrade or a MIG change that takes longer is stuck, and no intent any more."""
SAMPLE_FRESH = timedelta(minutes=5)
"""Older samples tell nothing about now. Exporters collect every 30 s by default, Muster reads them as often."""
PROOF_LASTS = timedelta(hours=24)
"""What a workload proved about runtime or CUDA stays proved so long on a node that was not rebooted and shows nothing
to the contrary: a node does not break because its last job ended."""
PROOF_RENEWED_AFTER = timedelta(hours=1)
"""A proof that goes on is noted anew no more often than this, so that a busy node is not written at every look."""
SERVED_RECENTLY = timedelta(hours=24)
"""A model server that was ready, or answered requests, within this time has shown that it can."""
REFUSED_RECENTLY = timedelta(minutes=15)
"""A pod that the kubelet refused longer ago says nothing about the node of now."""
