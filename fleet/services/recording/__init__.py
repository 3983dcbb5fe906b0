"""Remembering one pass, in one transaction of the caller's: inventory, revisions, and how the reading went."""

from fleet.services.recording.clusters import record_failure, record_reading
from fleet.services.recording.pass_ import record

__all__ = ["record", "record_failure", "record_reading"]
