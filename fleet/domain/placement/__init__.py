"""Placement: requirement × nodes → match, reasons, headroom. The one engine that classes, explain and sizing ask.

It promises no replica that cannot land and misses none: what it does not know does not count, and says so.
"""
