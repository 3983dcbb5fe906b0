"""Labels, configuration and capacity that do not say the same, or do not say enough."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.devices.measured_gpus import MeasuredGpu
from fleet.domain.snapshot import DevicePluginConfigs
from tests.builders import H100, make_dra_device, make_node, make_plugin_config, previous_of
from tests.domain.looks import ids, look


def test_capacity_decides_between_configuration_and_labels() -> None:
    by_config = look(
        make_node(gpus=4, sharing="time-slicing", replicas=8, capacity={"nvidia.com/gpu": 16}),
        plugin=make_plugin_config(sharing="time-slicing", replicas=4),
    )
    assert (by_config.physical, by_config.replicas, by_config.mode) == (4, 4, "Time-sliced ×4")
    by_labels = look(make_node(gpus=4), plugin=make_plugin_config(sharing="time-slicing", replicas=4))
    assert (by_labels.physical, by_labels.replicas, by_labels.mode) == (4, 1, "Full GPU")
    for seen in (by_config, by_labels):
        finding = next(finding for finding in seen.findings if finding.rule == "replicas_disagree")
        assert {evidence.source for evidence in finding.evidence} == {"label", "config", "capacity"}


def test_label_says_one_while_fifty_are_offered() -> None:
    node = make_node(gpus=1, capacity={"nvidia.com/gpu": 50})
    result = look(node, plugin=make_plugin_config(sharing="time-slicing", replicas=50))
    assert (result.physical, result.replicas, result.mode) == (1, 50, "Time-sliced ×50")
    untold = look(node)
    assert (untold.physical, untold.replicas, untold.sharing) == (1, 50, None)


def test_replicas_configured_but_not_in_force() -> None:
    node = make_node(sharing="time-slicing", replicas=4, capacity={"nvidia.com/gpu": 8})
    seen = look(node, plugin=make_plugin_config(sharing="time-slicing", replicas=4))
    assert (seen.physical, seen.replicas, seen.sharing, seen.mode) == (8, None, None, "Unknown")
    assert "replicas_unclear" in ids(seen)
    assert seen.advertised_gpus is None


def test_a_configuration_that_contradicts_the_replicas_that_slots_make_leaves_the_mode_unknown() -> None:
    measured = tuple(MeasuredGpu(uuid=f"GPU-{number}") for number in range(4))
    node = make_node(gpus=0, gfd=False, capacity={"nvidia.com/gpu": 8})
    seen = look(node, plugin=make_plugin_config(sharing="time-slicing", replicas=4), measured_gpus=measured)
    assert (seen.physical, seen.slots.capacity, seen.replicas, seen.sharing, seen.mode) == (4, 8, None, None, "Unknown")
    agreed = look(node, plugin=make_plugin_config(sharing="time-slicing", replicas=2), measured_gpus=measured)
    assert (agreed.replicas, agreed.sharing) == (2, "time-slicing")


def test_a_card_without_slots_where_label_and_configuration_agree() -> None:
    node = make_node(gpus=4, sharing="time-slicing", replicas=4, capacity={"nvidia.com/gpu": 12})
    seen = look(node, plugin=make_plugin_config(sharing="time-slicing", replicas=4))
    assert (seen.physical, seen.replicas, seen.advertised) == (4, 4, "partial")
    assert "1 GPU unhealthy or missing" in seen.reason


def test_two_readings_are_not_guessed_between() -> None:
    seen = look(make_node(gpus=4, sharing="time-slicing", replicas=4, capacity={"nvidia.com/gpu": 12}), plugin=None)
    assert (seen.physical, seen.replicas, seen.sharing, seen.mode) == (4, None, "time-slicing", "Time-sliced")
    assert "replicas_unclear" in ids(seen)


def test_capacity_below_the_labelled_count() -> None:
    seen = look(make_node(capacity={"nvidia.com/gpu": 7}))
    assert (seen.physical, seen.resources[0].predicted, seen.advertised) == (8, 8, "partial")
    assert "fewer_slots_than_devices" in ids(seen)


def test_configuration_of_the_node_is_chosen_by_its_label() -> None:
    configs = (
        *make_plugin_config("shared", sharing="time-slicing", replicas=4).configs,
        *make_plugin_config("alone").configs,
    )
    plugin = DevicePluginConfigs(configs=configs, default_key="alone")
    node = make_node(gpus=2, gfd=False, replicas=4, labels={"nvidia.com/device-plugin.config": "shared"})
    assert look(node, plugin=plugin).mode == "Time-sliced ×4"
    assert look(node, plugin=plugin).physical == 2
    lost = look(make_node(labels={"nvidia.com/device-plugin.config": "absent"}), plugin=plugin)
    assert "plugin_config_missing_key" in ids(lost)


def test_both_names_of_one_resource_are_counted_once() -> None:
    node = make_node(
        gpus=4,
        sharing="time-slicing",
        replicas=4,
        renamed=True,
        capacity={"nvidia.com/gpu": 4},
        allocatable={"nvidia.com/gpu": 0},
    )
    seen = look(node)
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (4, 16, 16, "full")
    assert "renamed_twice" in ids(seen)


def test_more_slots_than_the_labelled_product_explains() -> None:
    seen = look(make_node(gpus=4, capacity={"nvidia.com/gpu": 8}))
    assert (seen.physical, seen.slots.capacity) == (None, 8)
    assert "unexplained_slots" in ids(seen)
    assert "or shares that no source reports" in seen.isolation


def test_more_slots_than_the_labelled_product_explains_shared() -> None:
    assert look(make_node(gpus=4, sharing="time-slicing", replicas=2, capacity={"nvidia.com/gpu": 16})).physical is None


@pytest.mark.parametrize(
    ("labels", "given", "source"),
    [
        ({"karpenter.k8s.aws/instance-gpu-count": "8"}, {}, "cloud"),
        ({}, {"plugin": make_plugin_config()}, "config"),
        ({}, {"devices": [make_dra_device(index) for index in range(8)]}, "resource_slice"),
    ],
)
def test_other_evidence_counts_the_second_product(labels: dict[str, str], given: dict[str, Any], source: str) -> None:
    seen = look(make_node(gpus=4, capacity={"nvidia.com/gpu": 8}, labels=labels), **given)
    assert (seen.physical, seen.physical_source) == (8, source)


def test_products_of_slices_are_all_named() -> None:
    devices = [make_dra_device(0), make_dra_device(1, product="NVIDIA L40S")]
    assert look(make_node(gpus=0), devices=devices).products == (H100, "NVIDIA-L40S")


def test_labels_a_minute_away_do_not_make_the_node_unknown() -> None:
    before = look(make_node(sharing="time-slicing", replicas=4))
    gone = make_node(gfd=False, sharing="time-slicing", replicas=4, labels={"nvidia.com/gpu.present": "true"})
    seen = look(gone, previous=previous_of(before))
    for field in ("physical", "product", "family", "gpu_memory_mib", "mode", "sharing", "replicas", "partitioning", "slots"):
        assert getattr(seen, field) == getattr(before, field), field
    assert seen.physical_source == "previous"
    assert [(finding.rule, finding.severity) for finding in seen.findings] == [("labels_missing", "info")]


def test_an_old_truth_does_not_outlive_its_capacity() -> None:
    before = previous_of(look(make_node(sharing="time-slicing", replicas=4)))
    seen = look(make_node(gpus=4, gfd=False), previous=before)
    assert (seen.physical, seen.physical_source, seen.product) == (4, "capacity", "")


def test_static_plugin_without_any_label() -> None:
    seen = look(make_node(gfd=False))
    assert (seen.physical, seen.physical_source) == (8, "capacity")
    assert (seen.partitioning, seen.sharing, seen.replicas, seen.mode) == (None, None, None, "Unknown")
    assert (seen.mig_instances, seen.product, seen.gpu_memory_mib) == (None, "", None)
    assert ids(seen) == {"physical_assumed"}


def test_more_slots_than_any_machine_has_cards() -> None:
    seen = look(make_node(gpus=40, gfd=False))
    assert (seen.physical, seen.slots.capacity) == (None, 40)
    assert "physical_unknown" in ids(seen)


def test_replicas_from_the_configuration_alone() -> None:
    plugin = make_plugin_config(sharing="mps", replicas=8)
    seen = look(make_node(gpus=2, gfd=False, replicas=8), plugin=plugin)
    assert (seen.physical, seen.physical_source, seen.sharing, seen.mode) == (2, "config", "mps", "MPS ×8")


def test_slots_that_do_not_divide_by_the_configured_replicas() -> None:
    seen = look(make_node(gpus=7, gfd=False), plugin=make_plugin_config(sharing="time-slicing", replicas=4))
    assert seen.physical is None


def test_mixed_instances_without_labels_are_a_lower_bound() -> None:
    seen = look(make_node(gfd=False, mig={"1g.10gb": 15}))
    assert (seen.physical, seen.physical_is_lower_bound, seen.mig_instances) == (3, True, {"1g.10gb": 15})


@pytest.mark.parametrize("label", ["nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present"])
def test_expected_but_not_advertised(label: str) -> None:
    seen = look(make_node(gpus=0, labels={label: "true"}))
    assert (seen.vendor, seen.physical, seen.advertised) == ("nvidia", None, "none")
    assert "nothing_advertised" in ids(seen)


@pytest.mark.parametrize(("by_label", "by_config"), [("time-slicing", "mps"), ("mps", "time-slicing")])
def test_two_means_of_the_same_replicas_leave_it_unknown_how_slots_are_shared(by_label: str, by_config: str) -> None:
    node = make_node(gpus=2, sharing=by_label, replicas=4)
    seen = look(node, plugin=make_plugin_config(sharing=by_config, replicas=4))
    assert (seen.physical, seen.replicas, seen.sharing, seen.mode) == (2, 4, None, "Shared ×4")
    (finding,) = (finding for finding in seen.findings if finding.rule == "replicas_disagree")
    assert "time-slicing" in finding.text
    assert "MPS" in finding.text
    agreed = look(node, plugin=make_plugin_config(sharing=by_label, replicas=4))
    assert agreed.sharing == by_label
    assert "replicas_disagree" not in ids(agreed)
