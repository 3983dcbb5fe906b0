"""Parameters that a user enters, checked by Kubernetes' rules for names."""

from __future__ import annotations

import re

import msgspec

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?(?::\d{{1,5}})?/)?{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
NAME_LABEL = "app.kubernetes.io/name"
CLASS_LABEL, VERSION_LABEL = "muster.dev/class", "muster.dev/class-version"
CLAIM = "gpu"
"""Name of the claim of GPUs within a pod."""
_MOST_REPLICAS = 10_000
_LONGEST_IMAGE = 512


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The default is a runnable example in the namespace `default`."""

    name: str = "my-workload"
    namespace: str = "default"
    image: str = "registry.example/my-image:1.0"
    replicas: int = 1
    queue: str = ""
    """Kueue LocalQueue that the workload goes through; empty for none."""
    class_version: int = 1
    """Version of the class, for the label of the manifest; not entered by users."""


def problems(parameters: Parameters) -> tuple[tuple[str, str], ...]:
    """What Kubernetes would refuse: field and sentence; empty without problems."""
    rows = []
    for field in ("name", "namespace", "queue"):
        text = getattr(parameters, field)
        if (text or field != "queue") and not _LABEL.fullmatch(text):
            rows.append(
                (
                    field,
                    f"“{text[:80]}” is not a valid DNS label: use 1 to 63 lowercase letters, digits and hyphens (RFC 1123).",
                )
            )
    if len(parameters.image) > _LONGEST_IMAGE or not _IMAGE.fullmatch(parameters.image):
        rows.append(("image", f"“{parameters.image[:80]}” is not a valid image: use registry/name:tag."))
    if not 0 <= parameters.replicas <= _MOST_REPLICAS:
        rows.append(("replicas", f"Enter a whole number from 0 to {_MOST_REPLICAS:,}."))
    return tuple(rows)
