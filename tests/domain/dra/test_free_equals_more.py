"""What the node page says is free, or can still be cut, against how many more pods the real scheduler placed."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from fleet.collectors import device_taint_rules, resource_claims, resource_slices
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.devices.inspection import NodeDevices, NodeInputs, inspect
from fleet.domain.dra.taints import join
from fleet.domain.snapshot import DevicePluginConfigs, NodeSnapshot
from tests.domain.dra.recorded import Cluster, Raw, scenarios

_PROFILE = re.compile(r"device\.attributes\['gpu\.nvidia\.com'\]\.profile == '([0-9a-z.]+)'")


def _asked(scenario: Raw) -> tuple[str, str] | None:
    """Class and profile of what was counted; None where it is more than one device of a class or profile on one node."""
    of = (scenario.get("more") or {}).get("of") or {}
    devices = (of.get("claim") or {}).get("devices") or {}
    requests = devices.get("requests") or ()
    local = all(entry["spec"].get("nodeName") for entry in scenario["objects"]["slices"])
    if len(requests) != 1 or devices.get("constraints") or not local or "exactly" not in requests[0]:
        return None
    exact: dict[str, Any] = requests[0]["exactly"]
    if exact.get("count", 1) != 1 or exact.get("allocationMode") == "All" or exact.get("capacity") or exact.get("tolerations"):
        return None
    expressions = [selector["cel"]["expression"] for selector in exact.get("selectors") or ()]
    if exact["deviceClassName"] == "gpu.nvidia.com" and not expressions:
        return "gpu.nvidia.com", ""
    profile = _PROFILE.fullmatch(expressions[0]) if len(expressions) == 1 else None
    return ("mig.nvidia.com", profile[1]) if profile and exact["deviceClassName"] == "mig.nvidia.com" else None


COUNTED = [scenario for scenario in scenarios() if _asked(scenario)]


def test_there_are_enough_of_them() -> None:
    asked = [_asked(scenario) for scenario in COUNTED]
    assert len(asked) >= 10
    assert {name for name, _ in filter(None, asked)} == {"gpu.nvidia.com", "mig.nvidia.com"}


@pytest.mark.parametrize("scenario", COUNTED, ids=lambda scenario: scenario["name"])
def test_free_and_still_to_cut_equal_what_the_scheduler_still_placed(scenario: Raw) -> None:
    cluster = Cluster(scenario)
    for pod, answer in zip(scenario["pending"], scenario["answers"], strict=True):
        cluster.apply(pod, answer)
    asked = _asked(scenario)
    assert asked is not None
    pod = {"metadata": {}, "spec": {"tolerations": scenario["more"]["of"].get("tolerations") or [], "containers": []}}
    free = [_free(_inspect(cluster, scenario, node), *asked) for node in cluster.open_nodes(pod)]
    assert sum(free) == scenario["more"]["count"]


def _inspect(cluster: Cluster, scenario: Raw, node: Raw) -> NodeDevices:
    objects = scenario["objects"]
    slices = resource_slices.parse([msgspec.convert(raw, SliceWire) for raw in objects["slices"]], "v1")
    rules = [device_taint_rules.parse(msgspec.convert(raw, device_taint_rules.RuleWire)) for raw in objects["rules"]]
    claims = [msgspec.convert(raw, resource_claims.ClaimWire) for raw in [*cluster.claims.values(), *cluster.made]]
    return inspect(
        NodeInputs(
            node=NodeSnapshot(name=node["metadata"]["name"], uid="u", labels=node["metadata"]["labels"]),
            pods=(),
            plugin=DevicePluginConfigs(),
            devices=join(slices.devices, [rule for rule in rules if rule]),
            allocations=[allocation for claim in claims for allocation in resource_claims.parse(claim)],
            counter_sets=slices.counter_sets,
            incomplete_pools=slices.incomplete_pools,
        )
    )


def _free(seen: NodeDevices, name: str, profile: str) -> int:
    if not profile:
        return sum(row.free or 0 for row in seen.resources if row.name == name)
    cuts = sum(cut.more for pool in seen.dra_pools for cut in pool.cuts if cut.profile == profile)
    made = sum(1 for part in seen.mig_devices if part.uuid and part.profile == profile and part.held is False)
    return cuts + made
