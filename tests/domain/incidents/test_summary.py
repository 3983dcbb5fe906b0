"""An incident as Markdown: hostile text of a cluster formats, mentions and hides nothing."""

from __future__ import annotations

import pytest

from fleet.domain.incidents.summary import Summary, markdown
from fleet.domain.readiness.remedies import Part, Step

HOSTILE = (
    "@everyone",
    "<!channel>",
    "[docs](https://evil.example)",
    "a`b`",
    "x\n\n# heading",
    "\u202egnp.exe",
    "a\u200bb",
    "a\x1b[31mb",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_wherever_it_is_shown(text: str) -> None:
    steps = (Step((Part(text), Part(f"kubectl get {text}", is_command=True))),)
    lines = markdown(
        Summary(cause=text, severity=text, verdict=text, cluster=text, nodes=[text], effect=text, affected=text, steps=steps)
    ).splitlines()
    assert [line for line in lines if line.startswith("#")] == []
    plain = [line for line in lines if "`" not in line.replace("\\`", "")]
    assert not any("@everyone" in line or "](" in line.replace("\\]", "") or "<!" in line.replace("\\<", "") for line in plain)
    assert not any(mark in "".join(lines) for mark in ("\u202e", "\u200b", "\x1b"))


def test_a_name_cannot_end_the_code_it_is_shown_in() -> None:
    text = markdown(Summary(cause="c", severity="critical", nodes=["n1` [x](https://evil.example)"]))
    assert "- Node: `n1' [x](https://evil.example)`" in text
