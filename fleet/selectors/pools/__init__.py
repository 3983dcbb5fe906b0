"""Pools: figures, membership, compliance."""
