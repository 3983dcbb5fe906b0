"""Records one collection run in the caller's transaction: inventory, revisions, and the outcome of the run."""

from fleet.services.recording.clusters import record_failure, record_reading
from fleet.services.recording.run import record

__all__ = ["record", "record_failure", "record_reading"]
