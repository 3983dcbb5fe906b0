"""Counts exactly at a limit, equal to each other, or nothing at all."""

from __future__ import annotations

import pytest

from fleet.domain.catalog.gpus import find
from fleet.domain.devices.claims import parse_claims
from fleet.domain.devices.inputs import NodeInputs
from fleet.domain.devices.sources import vendors
from fleet.domain.devices.sources.gfd import PLAUSIBLE, plausible
from fleet.domain.devices.stale_resources import find_stale
from tests.builders import make_node, make_pod
from tests.domain.looks import A100, ids, look

GPU, SMALL = "nvidia.com/gpu", "nvidia.com/mig-1g.5gb"
CLASS = "gpu.intel.com/device-id.0380-56c0.count"


@pytest.mark.parametrize(("number", "kept"), [(None, None), (0, 0), (PLAUSIBLE, PLAUSIBLE), (PLAUSIBLE + 1, None)])
def test_a_number_is_plausible_up_to_the_largest(number: int | None, kept: int | None) -> None:
    assert plausible(number) == kept


@pytest.mark.parametrize(
    ("instances", "allocatable", "stale"),
    [
        (7, 1, True),  # every instance that the labels count is advertised: no GPU is left to be whole
        (5, 0, True),  # and none of the whole ones is allocatable
        (5, 1, False),
    ],
)
def test_whole_gpus_beside_mig_are_stale_without_a_gpu_left_or_without_one_allocatable(
    instances: int, allocatable: int, *, stale: bool
) -> None:
    labels = {"nvidia.com/mig-1g.5gb.count": "7"}
    node = make_node(
        gpus=1, product=A100, mig={"1g.5gb": instances}, labels=labels, capacity={GPU: 1}, allocatable={GPU: allocatable}
    )
    claims = parse_claims(NodeInputs(node=node, pods=(), plugin=None, devices=(), allocations=()))
    assert (GPU in find_stale(claims, find(A100))) is stale


def test_a_resource_without_an_allocatable_number_is_not_unreadable() -> None:
    node = make_node(gpus=8)
    assert "unreadable_value" not in ids(look(make_node(gpus=8, allocatable={GPU: None})))
    assert "unreadable_value" not in ids(look(node))
    assert "unreadable_value" in ids(look(make_node(gpus=8, allocatable={GPU: "many"})))


@pytest.mark.parametrize(
    ("by_id", "together", "key"),
    [("2", "2", "gpu.intel.com/device.count"), ("3", "2", CLASS), ("1", None, CLASS), ("0", "2", "gpu.intel.com/device.count")],
)
def test_intels_devices_are_counted_by_id_only_where_that_is_more(by_id: str, together: str | None, key: str) -> None:
    labels = {CLASS: by_id} | ({"gpu.intel.com/device.count": together} if together else {})
    facts = vendors.read("intel", labels, {})
    assert (facts.count, facts.count_keys) == (max(int(by_id), int(together or 0)), (key,))


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ([], "no device plugin runs on it"),
        (None, "the device plugin is not registered"),
        ([True], "the device plugin is not registered"),
        ([False], "its device plugin is not ready"),
        ([False, True], "the device plugin is not registered"),
    ],
)
def test_why_nothing_is_advertised(pods: list[bool] | None, why: str) -> None:
    plugins = pods if pods is None else [make_pod(f"p{n}", component="device-plugin", ready=ok) for n, ok in enumerate(pods)]
    seen = look(make_node(capacity={GPU: 0}, allocatable={GPU: 0}), plugins)
    (finding,) = (finding for finding in seen.findings if finding.rule == "nothing_advertised")
    assert why in finding.text
