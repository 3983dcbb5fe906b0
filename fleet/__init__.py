"""Muster: what every GPU node of every Kubernetes cluster told Kubernetes, remembered and shown."""

__version__ = "0.1.0"
