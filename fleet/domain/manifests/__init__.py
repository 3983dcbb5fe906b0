"""Manifests: what a class comes to in Kubernetes' own words, as plain dicts. Text for people and GitOps; nothing is applied."""
