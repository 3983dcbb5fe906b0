"""Every recorded pod: the same feasible nodes, the same reasons, the same message as the real scheduler's."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.placement.scheduler.messages import groups_of, parse_message
from fleet.domain.placement.scheduler.pod_evaluation import PodEvaluation
from fleet.domain.placement.scheduler.reasons import NOT_NAMED
from tests.domain.placement.scheduler import recordings

SCENARIOS = list(recordings.scenarios())
NO_SCHEDULER = ("nodeName in the spec", "another scheduler", "refused by the API server")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_feasible_nodes_and_reasons_equal_the_real_schedulers(scenario: dict[str, Any]) -> None:
    for question in recordings.questions(scenario):
        answer, evaluation = question.answer, question.evaluation
        if not str(answer.get("decided", "")).startswith("nodeName"):
            feasible = evaluation.feasible
            assert (None if feasible is None else list(feasible)) == answer["feasible"], question.pod
            assert not evaluation.not_modelled
        if answer.get("why") is not None:
            assert _reasons(question) == _recorded_reasons(answer), question.pod
        if answer["message"] and answer["feasible"] == []:
            assert parse_message(answer["message"]) == (len(question.state.nodes), dict(groups_of(evaluation))), question.pod
            if "not found" not in answer["message"]:
                assert answer["message"].startswith(failed_scheduling(evaluation))


def _reasons(question: recordings.Question) -> dict[str, list[str]]:
    """Asked for one node alone, the real scheduler names the selector for nodes that matchFields leaves out."""
    alone = {NOT_NAMED.text: "node(s) didn't match Pod's node affinity/selector"}
    return {
        node: sorted(alone.get(refusal.text, refusal.text) for refusal in refusals)
        for node, refusals in question.evaluation.nodes.items()
        if refusals
    }


def _recorded_reasons(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {node: sorted(reason.removesuffix(". not found") for reason in reasons) for node, reasons in answer["why"].items()}


def test_every_recorded_scenario_is_replayed() -> None:
    assert len(SCENARIOS) == 297
    assert sum(len(scenario["answers"]) for scenario in SCENARIOS) == 873


@pytest.mark.parametrize(
    ("message", "groups"),
    [
        ("0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods.", {"Insufficient cpu": 1, "Too many pods": 2}),
        (
            "0/2 nodes are available: 2 node(s) had untolerated taint {a: b}. preemption: 0/2 nodes are available: 2 No.",
            {"node(s) had untolerated taint(s)": 2},
        ),
        (
            "0/4 nodes are available: 1 node(s) had untolerated taint {a: b}, 3 node(s) had untolerated taint {c: }.",
            {"node(s) had untolerated taint(s)": 4},
        ),
        (
            '0/1 nodes are available: persistentvolumeclaim "data" not found. not found',
            {'persistentvolumeclaim "data" not found': 1},
        ),
    ],
)
def test_messages_of_older_versions_are_read_too(message: str, groups: dict[str, int]) -> None:
    parsed = parse_message(message)
    assert parsed is not None
    assert parsed[1] == groups


@pytest.mark.parametrize("message", ["", "running PreBind plugin: timed out", "0/x nodes", "9" * 50 + "/1 nodes are available: "])
def test_a_text_that_is_no_such_message_is_not_read(message: str) -> None:
    assert parse_message(message) is None


def failed_scheduling(evaluation: PodEvaluation) -> str:
    """Returns the message of kube-scheduler 1.36 for a pod that no node takes, without its last part about preemption."""
    total = len(evaluation.nodes) + len(evaluation.unknown)
    groups = sorted(f"{number} {text}" for text, number in groups_of(evaluation).items())
    return f"0/{total} nodes are available: {', '.join(groups)}."
