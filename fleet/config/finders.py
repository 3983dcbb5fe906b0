"""Serves plotly.min.js out of the pinned `plotly` package, compressed, so that no third-party code is committed."""

from __future__ import annotations

import gzip
import importlib.util
import logging
import os
import tempfile
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

log = logging.getLogger(__name__)

_FILE = "plotly.min.js"
_NAME = f"vendor/{_FILE}"


def _package_data() -> Path:
    # find_spec does not import the package: plotly.py takes half a second and 30 MB, and only its bundle is wanted here.
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The plotly package is not installed: install requirements.txt.")
    return Path(next(iter(spec.submodule_search_locations))) / "package_data"


@cache
def folder() -> Path:
    """Returns the folder with the bundle and the bundle compressed: a third of its 4.8 MB.

    It is made once for each release of plotly, in the data folder. Where that cannot be written, it is the package's own folder,
    and the bundle is sent as it is.
    """
    source = _package_data()
    bundle = source / _FILE
    made = Path(settings.STATIC_ROOT) / "compressed" / f"plotly-{version('plotly')}-{bundle.stat().st_size}"
    try:
        made.mkdir(parents=True, exist_ok=True)
        if not (made / _FILE).is_file():
            content = bundle.read_bytes()
            _write(made / f"{_FILE}.gz", gzip.compress(content, 9, mtime=0))
            _write(made / _FILE, content)
    except OSError as error:
        log.warning("plotly.min.js is sent uncompressed: %s", error)
        return source
    return made


def _write(path: Path, content: bytes) -> None:
    """Writes a file atomically, also where two processes write it."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).chmod(0o644)
    Path(name).replace(path)


class PlotlyFinder(BaseFinder):
    """Finds vendor/plotly.min.js, and lists its compressed form beside it."""

    def check(self, **kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        result = str(folder() / _FILE) if path == _NAME else None
        if find_all:
            return [result] if result else []
        return result

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[tuple[str, FileSystemStorage]]:
        storage = FileSystemStorage(location=str(folder()))
        storage.prefix = "vendor"  # type: ignore[attr-defined]  # collectstatic reads it
        for name in (_FILE, f"{_FILE}.gz"):
            if storage.exists(name):
                yield name, storage
