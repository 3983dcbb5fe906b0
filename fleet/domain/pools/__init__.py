"""Pools: a named set of nodes with a purpose and a policy. Who is in it, what may be suggested, whether it keeps its policy."""
