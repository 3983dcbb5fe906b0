"""Manifests: a class as Kubernetes objects, as plain dicts. Text for people and GitOps; nothing is applied."""
