"""Serves plotly.min.js out of the pinned `plotly` package, so that no third-party code is committed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

_NAME = "vendor/plotly.min.js"


def _package_data() -> Path:
    # find_spec does not import the package: plotly.py takes half a second and 30 MB, and only its bundle is wanted here.
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The plotly package is not installed: install requirements.txt.")
    return Path(next(iter(spec.submodule_search_locations))) / "package_data"


class PlotlyFinder(BaseFinder):
    """Finds one file: vendor/plotly.min.js."""

    def check(self, **kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        result = str(_package_data() / "plotly.min.js") if path == _NAME else None
        if find_all:
            return [result] if result else []
        return result

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[tuple[str, FileSystemStorage]]:
        storage = FileSystemStorage(location=str(_package_data()))
        storage.prefix = "vendor"  # type: ignore[attr-defined]  # collectstatic reads it
        yield "plotly.min.js", storage
