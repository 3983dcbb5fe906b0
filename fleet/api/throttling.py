"""A bound on how fast one caller may ask."""

from __future__ import annotations

from rest_framework.throttling import UserRateThrottle


class PerUser(UserRateThrottle):
    """Counts per user and process; the rate is a setting (MUSTER_API_RATE)."""
