"""Contradictions, isolation, drift and policy: rules that take a node, or all nodes of a cluster, and return findings."""
