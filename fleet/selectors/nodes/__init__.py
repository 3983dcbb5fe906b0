"""Nodes: lists, and everything that the page of one node shows."""
