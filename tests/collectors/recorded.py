"""The recorded answers of a real kube-apiserver, as bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "recorded" / "kubernetes"


def recording(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def body(name: str) -> bytes:
    """The body as it was on the wire, but for white space."""
    content = recording(name)["body"]
    return content.encode() if isinstance(content, str) else json.dumps(content).encode()


def names(prefix: str) -> list[str]:
    return sorted(path.stem for path in FOLDER.glob(f"{prefix}*.json"))
