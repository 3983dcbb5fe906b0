"""Pools: named sets of nodes with a purpose and a policy; membership, suggestions, compliance."""
