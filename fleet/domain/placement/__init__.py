"""Placement: requirement × nodes → match, reasons, headroom, for classes, explain and sizing.

Every counted replica can be scheduled, and none is left out; unknown room does not count and is shown as unknown.
"""
