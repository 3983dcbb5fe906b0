"""What the data folder keeps of the demonstration: when its month began, how far it was lived, and what to look at."""

from __future__ import annotations

import json
import os
from typing import Any

from fleet.selectors.muster import demo


def note(**changes: Any) -> dict[str, Any]:
    """Changes the given facts and returns all of them. A reader sees the earlier or the later ones, never a part."""
    kept = {**demo.read(), **changes}
    place = demo.state_file()
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = place.with_suffix(f".{os.getpid()}")
    making.write_text(json.dumps(kept), encoding="utf-8")
    making.replace(place)
    return kept
