"""A node's headline: the most severe cause first, since the earliest evidence, with that cause's remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from fleet.domain.readiness.remedies import parse_steps
from fleet.selectors.findings.worst import of_node
from fleet.selectors.nodes.headline import LONGEST_TITLE, REMOVED, Cause, main_cause, node_headline, with_gpu_and_effect
from fleet.selectors.nodes.ladder import node_ladder
from fleet.selectors.nodes.views import view_of
from tests.factories import a_finding_saying, a_ladder, a_node

if TYPE_CHECKING:
    from fleet.models import Node

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 30, 7, 12, tzinfo=UTC)
SEEN = datetime(2026, 11, 30, 6, 30, tzinfo=UTC)
EVIDENCE = datetime(2026, 11, 30, 4, 29, tzinfo=UTC)
XID = "Xid 79 (GPU has fallen off the bus) on GPU 5."


def a_broken_node(**fields: object) -> Node:
    facts = {
        "verdict": "not_ready",
        "broken_rung": "resources_advertised",
        "verdict_reason": "7 of 8 slots are allocatable.",
        "verdict_remedy": "Delete the plugin pod.",
        "verdict_since": SEEN,
        "rungs": a_ladder("resources_advertised"),
    }
    return a_node(**{**facts, **fields})


def test_the_most_severe_cause_is_the_title_and_its_remedy_the_only_one() -> None:
    node = a_broken_node()
    a_finding_saying(node, "The driver is older than its neighbours'.", SEEN, severity="warning", remedy="Upgrade.")
    a_finding_saying(node, XID, SEEN, severity="fatal", rung="telemetry_healthy", remedy="Reboot the node.", rule="xid")
    headline = node_headline(view_of(node), node_ladder(view_of(node)), of_node(node, NOW))
    assert headline.title == XID.rstrip(".")
    assert headline.reason == "7 of 8 slots are allocatable. Failed at rung 5, GPUs advertised."
    assert headline.steps == parse_steps("Reboot the node.")
    assert headline.notes == ("Rungs 6 to 9 are blocked.",)


def test_since_is_the_condition_that_the_cause_rests_on_where_it_is_older() -> None:
    condition = {"type": "AcceleratedHardwareReady", "status": "False", "last_transition_at": EVIDENCE.isoformat()}
    other = {"type": "Ready", "status": "True", "last_transition_at": (EVIDENCE - timedelta(days=9)).isoformat()}
    node = a_broken_node(conditions=[other, condition])
    evidence = [{"source": "condition", "key": "AcceleratedHardwareReady", "value": "False"}]
    a_finding_saying(node, XID, SEEN, severity="fatal", evidence=evidence)
    headline = node_headline(view_of(node), (), of_node(node, NOW))
    assert (headline.since, headline.seen_at, headline.evidence) == (EVIDENCE, SEEN, "AcceleratedHardwareReady")


def test_since_is_the_finding_where_it_opened_before_the_verdict() -> None:
    node = a_broken_node()
    a_finding_saying(node, XID, EVIDENCE, severity="fatal")
    headline = node_headline(view_of(node), (), of_node(node, NOW))
    assert (headline.since, headline.seen_at) == (EVIDENCE, None)


def test_without_a_cause_the_reason_is_the_title_and_the_verdicts_remedy_stays() -> None:
    node = a_broken_node()
    a_finding_saying(node, "A warning elsewhere.", SEEN, severity="warning", rung="telemetry_healthy")
    headline = node_headline(view_of(node), (), of_node(node, NOW))
    assert headline.title == "7 of 8 slots are allocatable"
    assert headline.reason == "Failed at rung 5, GPUs advertised."
    assert headline.steps == parse_steps("Delete the plugin pod.")


@pytest.mark.parametrize(("length", "is_title"), [(LONGEST_TITLE, True), (LONGEST_TITLE + 1, False)])
def test_a_reason_longer_than_a_title_goes_below_it(length: int, is_title: bool) -> None:
    reason = "x" * length
    headline = node_headline(view_of(a_broken_node(verdict="unknown", verdict_reason=reason)))
    assert (headline.title == reason) is is_title
    assert reason in (headline.title, headline.reason)


def test_a_ready_node_has_no_steps_even_with_a_critical_finding() -> None:
    node = a_broken_node(verdict="ready", broken_rung="", verdict_reason="Every required rung passes.")
    a_finding_saying(node, XID, SEEN, severity="fatal", remedy="Reboot the node.")
    headline = node_headline(view_of(node), (), of_node(node, NOW))
    assert (headline.verdict, headline.title, headline.steps) == ("ready", "Every required rung passes", ())


@pytest.mark.parametrize("verdict", ["not_ready", "degraded", "starting", "unknown", "excluded", "a_new_one"])
def test_no_other_verdict_is_headed_as_ready(verdict: str) -> None:
    headline = node_headline(view_of(a_broken_node(verdict=verdict, broken_rung="", verdict_reason="")))
    assert headline.title not in ("", "Ready")


def test_a_removed_node_is_removed_whatever_its_last_verdict() -> None:
    headline = node_headline(view_of(a_broken_node(removed_at=NOW)))
    assert (headline.verdict, headline.since) == (REMOVED, NOW)


def a_cause(text: str, severity: str, rung: str = "", since: datetime = SEEN) -> Cause:
    return Cause(text, severity, rung, since)


@pytest.mark.parametrize(
    ("causes", "chosen"),
    [
        ([], None),
        ([a_cause("info", "info")], None),
        ([a_cause("warning", "warning")], None),
        ([a_cause("warning on the rung", "warning", "driver_loaded")], "warning on the rung"),
        ([a_cause("critical", "critical"), a_cause("fatal", "fatal")], "fatal"),
        ([a_cause("fatal", "fatal"), a_cause("fatal on the rung", "fatal", "driver_loaded")], "fatal on the rung"),
        ([a_cause("later", "fatal"), a_cause("earlier", "fatal", since=EVIDENCE)], "earlier"),
        ([a_cause("from a newer version", "apocalyptic")], None),
    ],
)
def test_the_cause_is_the_most_severe_then_the_rungs_own_then_the_oldest(causes: list[Cause], chosen: str | None) -> None:
    cause = main_cause(causes, "not_ready", "driver_loaded")
    assert (cause.text if cause else None) == chosen


def test_the_title_names_the_gpu_by_index_and_uuid_and_what_is_left() -> None:
    uuid = "GPU-4d890504-fdce-446b-a135-aee508a8e11c"
    node = a_broken_node(slots_capacity=8, slots_allocatable=7)
    a_finding_saying(node, f"Xid 79 (GPU has fallen off the bus) on {uuid[:12]}.", SEEN, severity="fatal")
    view = view_of(node)
    headline = with_gpu_and_effect(node_headline(view, (), of_node(node, NOW)), view.figures, {uuid: "5"})
    assert headline.title == "Xid 79 (GPU has fallen off the bus) on GPU 5 (4d890504): 7 of 8 GPUs allocatable"


def test_a_title_that_states_the_effect_itself_does_not_state_it_twice() -> None:
    view = view_of(a_broken_node(slots_capacity=8, slots_allocatable=7))
    assert with_gpu_and_effect(node_headline(view), view.figures, {}).title == "7 of 8 slots are allocatable"
