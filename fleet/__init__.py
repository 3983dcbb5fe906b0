"""Muster: collects the state of every GPU node of every Kubernetes cluster, keeps its history, and shows it."""

__version__ = "0.1.0"
