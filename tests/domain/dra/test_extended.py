"""Which DeviceClass serves an extended resource (KEP-5004)."""

from __future__ import annotations

import pytest

from fleet.domain.dra.extended import classes_by_resource
from fleet.domain.snapshot.dra import DeviceClass

OLD, NEW = "2026-01-01T00:00:00Z", "2026-11-01T00:00:00Z"


@pytest.mark.parametrize(("created", "serves"), [((OLD, NEW), "b"), ((NEW, OLD), "a"), ((OLD, OLD), "a")])
@pytest.mark.parametrize("turned", [False, True])
def test_the_newest_class_serves_and_of_equally_old_ones_the_first_by_name(
    created: tuple[str, str], serves: str, turned: bool
) -> None:
    classes = [
        DeviceClass(name=name, extended_resource="example.com/gpu", created=at) for name, at in zip("ab", created, strict=True)
    ]
    by_resource = classes_by_resource(classes[::-1] if turned else classes)
    assert by_resource["example.com/gpu"] == serves
    assert [by_resource[f"deviceclass.resource.kubernetes.io/{name}"] for name in "ab"] == ["a", "b"]
