"""Remedies as steps: commands are found where they are written, and none changes a cluster."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from fleet.domain.readiness.remedies import FINDING_STEPS, MOST_STEPS, node_steps, parse_steps


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("1. Move the pods: kubectl drain n1", ["Move the pods:", "$ kubectl drain n1"]),
        ("- Run `nvidia-smi -q` on the node.", ["Run", "$ nvidia-smi -q", "on the node."]),
        ("`nvidia-smi -L`, and `lspci` for the rest.", ["$ nvidia-smi -L", ", and", "$ lspci", "for the rest."]),
        ("Stop and start the instance.", ["Stop and start the instance."]),
        ("Ask the team: they know.", ["Ask the team: they know."]),
    ],
)
def test_commands_are_found_in_backticks_or_behind_a_colon(line: str, parts: list[str]) -> None:
    (step,) = parse_steps(line)
    assert [f"$ {part.text}" if part.is_command else part.text for part in step.parts] == parts


def test_lines_of_a_counters_csv_belong_to_the_step_above() -> None:
    steps = parse_steps("Add these lines:\nDCGM_A, gauge, A.\nDCGM_B, gauge, B.\nRestart the exporter.")
    assert [(step.text, step.code) for step in steps] == [
        ("Add these lines:", "DCGM_A, gauge, A.\nDCGM_B, gauge, B."),
        ("Restart the exporter.", ""),
    ]
    assert parse_steps("DCGM_A, gauge, A.")[0].lines == ("DCGM_A, gauge, A.",)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_remedy_without_text_has_no_steps(text: str) -> None:
    assert parse_steps(text) == ()


PLUGIN = SimpleNamespace(namespace="gpu-operator", name="plugin-x", component="amd-device-plugin")


@pytest.mark.parametrize("state", ["none", "partial", "not_ready", "unknown", "cordoned", "full"])
@pytest.mark.parametrize("pods", [[], [PLUGIN]])
def test_commands_only_read_or_uncordon(state: str, pods: list[SimpleNamespace]) -> None:
    steps = node_steps("n1", state, [*FINDING_STEPS, "upgrade_failed", "mig_config_failed"], pods)
    assert len(steps) <= MOST_STEPS
    for step in steps:
        for command in step.commands:
            assert re.match(r"kubectl (get|describe|logs|uncordon) ", command)
        assert step.commands or not step.text.endswith(":")


def test_the_log_of_another_vendors_device_plugin_is_named() -> None:
    assert node_steps("n1", "none", (), [PLUGIN])[0].commands[0].startswith("kubectl logs -n gpu-operator plugin-x ")


def test_a_node_that_advertises_everything_needs_no_step() -> None:
    assert node_steps("n1", "full") == ()
