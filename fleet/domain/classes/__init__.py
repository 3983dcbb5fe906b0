"""Workload classes: a promise in a developer's words, what it asks of each of its pools, and whether it is kept."""
