"""Nodes and other objects that Kubernetes would not accept as they were sent: left out, or kept with shortened values."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.evaluation.rules import ClusterRule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer
from fleet.domain.snapshot import ObjectProblem

ID = "objects_left_out"
_REMEDY = (
    "Look at the object with `kubectl get -o yaml`. If the API server itself returns it like this, it is not "
    "conformant; if an exporter does, find out which pod answers as that exporter."
)


def check(subjects: Sequence[NodeSubject]) -> RuleResult:
    problems = subjects[0].cluster.snapshot.problems
    return answer(ID, [_finding(problem) for problem in problems])


def _finding(problem: ObjectProblem) -> Finding:
    name = f"{problem.kind} {problem.name}".strip()
    return Finding(
        rule=ID,
        key=f"{problem.kind}:{problem.name}",
        severity=Severity.WARNING if problem.left_out else Severity.INFO,
        subject="cluster",
        text=f"{name[:1].upper()}{name[1:]}: {problem.text}",
        evidence=(Evidence(problem.kind, "name", problem.name),),
        remedy=_REMEDY,
    )


RULE = ClusterRule(id=ID, title="Objects left out or shortened", severity=Severity.WARNING, needs=("nodes",), check=check)
