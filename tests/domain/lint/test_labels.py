"""Labels against configuration, resources, cards and time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from fleet.domain.evaluation.subject import NodeHistory
from fleet.domain.findings import Finding, Severity, Status
from fleet.domain.lint.rules import (
    config_against_labels,
    labels_disagree,
    labels_older_than_boot,
    models_disagree,
    plugin_config,
    unknown_accelerator,
    untainted,
)
from fleet.domain.snapshot import Taint
from tests.builders import make_node, make_plugin_config
from tests.domain.lint.subjects import NOW, ask, keys, sample, subject_of

TIMESTAMP = "nvidia.com/gfd.timestamp"
TIMES_FOUR = make_plugin_config(sharing="time-slicing", replicas=4)


def written(hours_ago: float) -> dict[str, str]:
    return {TIMESTAMP: str(int((NOW - timedelta(hours=hours_ago)).timestamp()))}


def booted(minutes_ago: float) -> NodeHistory:
    return NodeHistory(booted_at=NOW - timedelta(minutes=minutes_ago))


def test_configuration_and_labels_disagree() -> None:
    result = ask(config_against_labels.RULE, plugin=TIMES_FOUR)
    assert (result.status, len(result.findings)) == (Status.WARN, 1)
    assert "×4" in result.findings[0].text
    assert {item.source for item in result.findings[0].evidence} >= {"label", "config", "capacity"}


def test_configuration_and_labels_agree() -> None:
    shared = make_node(sharing="time-slicing", replicas=4)
    assert ask(config_against_labels.RULE, node=shared, plugin=TIMES_FOUR).status == Status.PASS


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"unread": ["device_plugin_config"]}, Status.UNKNOWN),
        ({"node": make_node(gfd=False), "plugin": TIMES_FOUR}, Status.UNKNOWN),
        ({}, Status.NOT_APPLICABLE),
    ],
)
def test_configuration_without_its_counterpart(given: dict[str, Any], status: Status) -> None:
    assert ask(config_against_labels.RULE, **given).status == status


def test_a_configuration_that_is_not_there() -> None:
    asks = make_node(labels={"nvidia.com/device-plugin.config": "fast"})
    result = ask(plugin_config.RULE, node=asks, plugin=TIMES_FOUR)
    assert (result.status, keys(result)) == (Status.WARN, ["plugin_config_missing_key"])
    assert ask(config_against_labels.RULE, node=asks, plugin=TIMES_FOUR).status == Status.UNKNOWN
    assert ask(plugin_config.RULE, plugin=TIMES_FOUR).status == Status.PASS
    assert ask(plugin_config.RULE).status == Status.NOT_APPLICABLE
    assert ask(plugin_config.RULE, node=asks, unread=["device_plugin_config"]).status == Status.UNKNOWN


def test_configurations_that_differ_or_are_not_valid() -> None:
    other = make_plugin_config(sharing="time-slicing", replicas=8, namespace="elsewhere")
    two = structs.replace(TIMES_FOUR, configs=TIMES_FOUR.configs + other.configs, default_key="default")
    assert keys(ask(plugin_config.RULE, plugin=two)) == ["plugin_config_ambiguous"]
    broken = make_plugin_config(error="line 3: bad indentation")
    assert keys(ask(plugin_config.RULE, plugin=broken)) == ["plugin_config_unreadable"]


def test_more_gpus_than_the_machine_was_ordered_with() -> None:
    ordered_four = {"nvsentinel.dgxc.nvidia.com/gpu.count.expected": "4"}
    assert keys(ask(labels_disagree.RULE, node=make_node(gpus=5, labels=ordered_four))) == ["more_than_ordered"]
    assert ask(labels_disagree.RULE, node=make_node(gpus=4, labels=ordered_four)).findings == ()


def test_labels_that_no_number_stands_in() -> None:
    result = ask(labels_disagree.RULE, node=make_node(labels={"nvidia.com/gpu.count": "many"}))
    assert (result.status, keys(result)) == (Status.WARN, ["unreadable_value"])
    assert result.findings[0].evidence
    assert ask(labels_disagree.RULE).status == Status.PASS
    assert ask(labels_disagree.RULE, node=make_node(gfd=False)).status == Status.UNKNOWN


def test_labels_older_than_the_reboot() -> None:
    result = ask(labels_older_than_boot.RULE, node=make_node(labels=written(5)), history=booted(60))
    assert (result.status, result.findings[0].rung) == (Status.WARN, "labels_accurate")
    assert [item.value for item in result.findings[0].evidence][1] == "2026-11-23 11:00 UTC"


@pytest.mark.parametrize(
    ("labels", "history", "status"),
    [
        (written(0.5), booted(60), Status.PASS),
        (written(5), booted(2), Status.WAITING),  # GFD may not have started yet
        (written(1.1), booted(60), Status.UNKNOWN),  # six minutes before the reboot was noticed: which was first?
        (written(5), NodeHistory(), Status.UNKNOWN),
        ({TIMESTAMP: None}, booted(60), Status.NOT_ENABLED),
        ({TIMESTAMP: "yesterday"}, booted(60), Status.NOT_ENABLED),
        ({TIMESTAMP: "9" * 18}, booted(60), Status.NOT_ENABLED),
    ],
)
def test_how_labels_and_boot_compare(labels: dict[str, str | None], history: NodeHistory, status: Status) -> None:
    assert ask(labels_older_than_boot.RULE, node=make_node(labels=labels), history=history).status == status


def test_without_labels_there_is_nothing_to_compare_with_the_boot() -> None:
    assert ask(labels_older_than_boot.RULE, node=make_node(gfd=False), history=booted(60)).status == Status.NOT_ENABLED


def test_the_exporter_finds_other_cards_than_the_labels_say() -> None:
    mixed = ask(models_disagree.RULE, samples=[sample(0), sample(1, model="NVIDIA A10G")])
    assert (mixed.status, "also reports NVIDIA A10G" in mixed.findings[0].text) == (Status.WARN, True)
    wrong = ask(models_disagree.RULE, samples=[sample(0, model="Tesla T4")])
    assert "exporter reports Tesla T4" in wrong.findings[0].text
    assert ask(models_disagree.RULE, samples=[sample(0)]).status == Status.PASS


def test_the_exporter_reports_fewer_gpus_than_are_counted() -> None:
    subject = subject_of(samples=[sample(0)])
    finding = Finding(rule="telemetry_sees_fewer", severity=Severity.WARNING, text="DCGM reports 1 GPU, but 8 are counted.")
    fewer = structs.replace(subject, devices=structs.replace(subject.devices, findings=(finding,)))
    result = ask(models_disagree.RULE, fewer)
    assert (result.status, keys(result)) == (Status.WARN, ["telemetry_sees_fewer"])
    assert result.findings[0].remedy
    assert result.findings[0].evidence


def test_names_of_one_card_are_alike_however_they_are_written() -> None:
    shared = make_node(product="Tesla-T4", sharing="time-slicing", replicas=4)
    assert ask(models_disagree.RULE, node=shared, samples=[sample(0, model="Tesla T4")]).status == Status.PASS
    odd = make_node(product="NVIDIA-Z9000")
    assert ask(models_disagree.RULE, node=odd, samples=[sample(0, model="NVIDIA Z9000")]).status == Status.PASS


def test_without_an_exporter_no_card_is_named() -> None:
    assert ask(models_disagree.RULE).status == Status.NOT_ENABLED
    assert ask(models_disagree.RULE, samples=[sample(0, age_s=3600)]).status == Status.UNKNOWN
    assert ask(models_disagree.RULE, node=make_node(gfd=False), samples=[sample(0)]).status == Status.UNKNOWN


def test_a_node_that_nothing_names() -> None:
    result = ask(unknown_accelerator.RULE, node=make_node(gfd=False))
    assert (result.status, result.findings[0].severity) == (Status.WARN, Severity.WARNING)
    assert result.findings[0].evidence[0].source == "capacity"


def test_a_card_that_the_catalogue_does_not_hold() -> None:
    result = ask(unknown_accelerator.RULE, node=make_node(product="NVIDIA-Z9000"))
    assert result.findings[0].severity == Severity.INFO
    assert "NVIDIA-Z9000" in result.findings[0].text
    assert ask(unknown_accelerator.RULE).status == Status.PASS
    by_cloud = make_node(gfd=False, labels={"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"})
    assert ask(unknown_accelerator.RULE, node=by_cloud).status == Status.PASS


def test_labels_that_are_away_for_a_minute_make_no_accelerator_unknown() -> None:
    from tests.builders import previous_of
    from tests.domain.looks import look

    before = NodeHistory(previous=previous_of(look(make_node())))
    assert ask(unknown_accelerator.RULE, node=make_node(gfd=False), history=before).status == Status.WAITING


def test_a_node_open_to_every_pod() -> None:
    result = ask(untainted.RULE)
    assert (result.status, result.findings[0].severity) == (Status.WARN, Severity.INFO)
    assert "nvidia.com/gpu=present:NoSchedule" in result.findings[0].remedy


@pytest.mark.parametrize(
    ("taint", "status"),
    [
        (Taint("nvidia.com/gpu", "present", "NoSchedule"), Status.PASS),
        (Taint("sku", "gpu", "NoSchedule"), Status.PASS),
        (Taint("dedicated", "ml", "NoExecute"), Status.PASS),
        (Taint("nvidia.com/gpu", "", "PreferNoSchedule"), Status.WARN),
        (Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"), Status.WARN),
        (Taint("cloud.google.com/gke-spot", "true", "NoSchedule"), Status.WARN),
        (Taint("readiness.k8s.io/gpu-ready", "", "NoSchedule"), Status.WARN),
        (Taint("ebs.csi.aws.com/agent-not-ready", "", "NoExecute"), Status.WARN),
    ],
)
def test_which_taints_keep_other_pods_out(taint: Taint, status: Status) -> None:
    assert ask(untainted.RULE, node=make_node(taints=(taint,))).status == status


def test_a_cluster_of_gpu_nodes_alone_needs_no_taint() -> None:
    assert ask(untainted.RULE, node_count=1).status == Status.NOT_APPLICABLE
    assert ask(untainted.RULE, node_count=None).status == Status.WARN
    assert ask(untainted.RULE, unread=["nodes"]).status == Status.UNKNOWN


def test_labels_written_between_the_looks_at_a_boot_are_not_known_to_be_older() -> None:
    node = make_node(labels=written(1))
    for after, status in ((70, Status.UNKNOWN), (50, Status.WARN)):
        history = NodeHistory(booted_after=NOW - timedelta(minutes=after), booted_at=NOW - timedelta(minutes=30))
        assert ask(labels_older_than_boot.RULE, node=node, history=history).status == status
