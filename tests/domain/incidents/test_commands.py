"""Commands name their cluster, links escape what they are filled with, and a summary cannot be formatted by a cluster's text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fleet.domain.incidents.commands import in_context, node_commands, steps_in_context
from fleet.domain.incidents.links import LinkTemplate
from fleet.domain.incidents.summary import MOST_NODES, Summary, markdown
from fleet.domain.readiness.remedies import parse_steps


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("kubectl get x", "kubectl --context east get x"),
        ("kubectl --context west get x", "kubectl --context west get x"),
        ("kubectl get x | kubectl delete -f -", "kubectl --context east get x | kubectl --context east delete -f -"),
        ("nvidia-smi -r", "nvidia-smi -r"),
        ("mykubectl get x", "mykubectl get x"),
    ],
)
def test_every_kubectl_names_its_context(command: str, wanted: str) -> None:
    assert in_context(command, "east") == wanted
    assert in_context(command, "") == command


def test_names_are_quoted_for_the_shell() -> None:
    assert in_context("kubectl get x", "a b;c") == "kubectl --context 'a b;c' get x"
    commands = node_commands("east", "n1")
    assert all(command.text.startswith("kubectl --context east ") for command in commands)
    assert [command.label for command in commands if command.changes] == ["Cordon", "Drain", "Uncordon"]
    assert steps_in_context(parse_steps("Look: `kubectl get x`"), "east") == parse_steps("Look: `kubectl --context east get x`")


def test_a_link_is_filled_and_escaped_or_left_out() -> None:
    link = LinkTemplate("Grafana", "https://g.example.com/d/x?node={node}&from={from_ms}")
    assert link.problem() == ""
    assert link.fill({"node": "a&b/c", "from_ms": "12"}) == "https://g.example.com/d/x?node=a%26b%2Fc&from=12"
    assert link.fill({"node": "a"}) is None
    assert "unknown placeholder" in LinkTemplate("x", "https://g/{pod}").problem()
    assert "http" in LinkTemplate("x", "javascript:alert(1)").problem()
    assert "no name" in LinkTemplate(" ", "https://g/").problem()


def test_the_summary_is_markdown_that_a_clusters_text_cannot_format() -> None:
    text = markdown(
        Summary(
            cause="**It** [fell](http://x)\n# off",
            severity="Fatal",
            verdict="Not ready",
            cluster="ea`st",
            nodes=["n1"],
            since=datetime(2026, 11, 30, 4, 29, tzinfo=UTC),
            seen_at=datetime(2026, 11, 30, 6, 30, tzinfo=UTC),
            effect="8 GPUs",
            affected="1 pod down: search_ml",
            steps=parse_steps("Look: `kubectl get x`"),
            url="https://muster.example.com/incidents/1/",
        )
    )
    assert text.splitlines() == [
        r"**\*\*It\*\* \[fell\](http://x) \# off** (Fatal)",
        "",
        "- Node: `n1`, Not ready",
        "- Cluster: `ea'st`",
        "- Since: Mon 30 Nov 2026 04:29 UTC, seen by Muster Mon 30 Nov 2026 06:30 UTC",
        "- Not usable: 8 GPUs",
        r"- Affected: 1 pod down: search\_ml",
        "",
        "What to do:",
        "",
        "1. Look: `kubectl get x`",
        "",
        "https://muster.example.com/incidents/1/",
    ]
    many = markdown(Summary(cause="x", severity="Info", nodes=[f"n{number}" for number in range(MOST_NODES + 2)]))
    assert "and 2 more" in many
