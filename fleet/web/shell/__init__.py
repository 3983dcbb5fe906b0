"""Shared by every page: rendering, its navigation, the signed-in user, moments in its address, error pages."""
