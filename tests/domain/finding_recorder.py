"""A pytest plugin that records every finding and violation of a run: `-p tests.domain.finding_recorder`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fleet.domain import findings

_made: set[tuple[str, str]] = set()


class RecordedFinding(findings.Finding, frozen=True, kw_only=True):
    def __post_init__(self) -> None:
        _made.add((self.rule, str(self.severity)))


findings.Finding = RecordedFinding  # type: ignore[misc]

from fleet.domain.pools import compliance  # noqa: E402 it and all it imports take the class above


class RecordedViolation(compliance.Violation, frozen=True, kw_only=True):
    def __post_init__(self) -> None:
        _made.add((f"violation:{self.id}", self.state))


compliance.Violation = RecordedViolation  # type: ignore[misc]


def pytest_sessionfinish() -> None:
    Path(os.environ["MUSTER_FINDINGS_MADE"]).write_text(json.dumps(sorted(_made)))
