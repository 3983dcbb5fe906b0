"""Objects that were left out or shortened are findings of the cluster."""

from __future__ import annotations

from msgspec import structs

from fleet.domain.findings import Severity, Status
from fleet.domain.lint.rules import objects_left_out
from fleet.domain.snapshot import ObjectProblem
from tests.domain.lint.subjects import ask_all, keys, subject_of
from tests.domain.subjects import reporting


def test_an_object_left_out_is_a_warning_and_a_shortened_one_information() -> None:
    problems = (
        ObjectProblem("node", "n1", "Left out: its name is not valid."),
        ObjectProblem("pod", "p1", "A label was shortened.", left_out=False),
    )
    subject = subject_of()
    read = reporting(subject, structs.replace(subject.cluster.snapshot, problems=problems))
    result = ask_all(objects_left_out.RULE, read)
    assert (result.status, keys(result)) == (Status.WARN, ["node:n1", "pod:p1"])
    assert [finding.severity for finding in result.findings] == [Severity.WARNING, Severity.INFO]
    assert ask_all(objects_left_out.RULE, subject).status is Status.PASS
