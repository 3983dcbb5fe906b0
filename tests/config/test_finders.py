"""The bundle that draws charts is sent compressed, out of its package."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.config import finders


@pytest.fixture(autouse=True)
def _not_kept() -> Iterator[None]:
    finders.folder.cache_clear()
    yield
    finders.folder.cache_clear()


def test_the_bundle_is_listed_with_its_compressed_form(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    listed = {name: Path(storage.path(name)) for name, storage in finders.PlotlyFinder().list(None)}
    bundle, packed = listed["plotly.min.js"], listed["plotly.min.js.gz"]
    assert tmp_path in bundle.parents
    assert packed.parent == bundle.parent, "the server looks for it beside the bundle"
    assert gzip.decompress(packed.read_bytes()) == bundle.read_bytes()
    assert packed.stat().st_size < bundle.stat().st_size / 3
    assert finders.PlotlyFinder().find("vendor/plotly.min.js") == str(bundle)


def test_where_the_data_folder_cannot_be_written_the_package_serves_it(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path / "file" / "below"
    (tmp_path / "file").write_text("")
    (name, storage), *more = finders.PlotlyFinder().list(None)
    assert (name, more) == ("plotly.min.js", [])
    assert "package_data" in storage.path(name)
