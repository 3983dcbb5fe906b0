"""Targets, rules and deliveries of notifications, and how many wait."""
