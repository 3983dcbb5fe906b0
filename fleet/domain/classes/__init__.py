"""Workload classes: definitions for developers, requirements per pool, and compliance."""
