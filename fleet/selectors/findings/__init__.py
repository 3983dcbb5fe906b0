"""Findings: lists, counts, the worst ones, and which of them are silenced."""
