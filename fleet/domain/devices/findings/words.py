"""Wording shared by findings."""

from __future__ import annotations


def plural(number: int, noun: str) -> str:
    """`1 GPU`, `2 GPUs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def times(replicas: int | None) -> str:
    """`×4`, `no sharing`, `unknown sharing`."""
    return "no sharing" if replicas == 1 else "unknown sharing" if replicas is None else f"×{replicas}"
