"""What happened to many nodes at one time is one event; what happens again minutes later is another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fleet.selectors.fleet.last_hour import ALIKE_WITHIN, Event, alike_together, labels_together, ranked

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def joined(node: str, after: timedelta, kind: str = "joined") -> Event:
    return Event(NOON + after, kind, "east", node)


def test_alike_at_one_time_is_one_event_and_minutes_apart_are_two() -> None:
    moments = [timedelta(), timedelta(seconds=20), ALIKE_WITHIN + timedelta(seconds=20), timedelta(minutes=9)]
    grouped = alike_together([joined(f"n{number}", after) for number, after in enumerate(moments)])
    assert [(event.node, event.others) for event in grouped] == [("n3", 0), ("n2", 2)]


def test_exactly_at_the_limit_is_still_one_and_a_second_more_is_not() -> None:
    assert len(alike_together([joined("a", timedelta()), joined("b", ALIKE_WITHIN)])) == 1
    assert len(alike_together([joined("a", timedelta()), joined("b", ALIKE_WITHIN + timedelta(seconds=1))])) == 2


def test_other_kinds_stay_apart() -> None:
    assert len(alike_together([joined("a", timedelta()), joined("b", timedelta(), kind="left")])) == 2


def changed(node: str, after: timedelta, *sections: str) -> Event:
    changes = tuple({"section": section, "key": "k", "before": "1", "after": "2"} for section in sections)
    return Event(NOON + after, "changed", "east", node, changes=changes)


def test_a_verdict_stands_before_newer_changes_of_facts() -> None:
    verdict = Event(NOON, "verdict", "east", "a", "ready", "not_ready")
    left = joined("b", timedelta(minutes=1), kind="left")
    fact = changed("c", timedelta(minutes=2), "capacity")
    assert ranked([fact, left, verdict]) == [verdict, left, fact]
    later = joined("d", timedelta(minutes=3), kind="verdict")
    assert ranked([verdict, later]) == [later, verdict], "newest first among equals"


def test_changes_of_labels_alone_are_one_line_with_their_number() -> None:
    mixed = changed("c", timedelta(minutes=9), "labels", "capacity")
    folded = labels_together(
        [
            changed("a", timedelta(), "labels", "labels"),
            mixed,
            changed("b", timedelta(minutes=5), "labels"),
            changed("a", timedelta(minutes=1), "labels"),
        ]
    )
    (line,) = [event for event in folded if event.kind == "labels"]
    assert (line.node, line.others, len(line.changes)) == ("b", 1, 4)
    assert mixed in folded
    assert labels_together([mixed]) == [mixed]


def test_another_driver_is_no_churn_and_labels_that_come_back_are() -> None:
    def of(before: str | None, after: str | None) -> Event:
        change = {"section": "labels", "key": "nvidia.com/cuda.driver-version.full", "before": before, "after": after}
        return Event(NOON, "changed", "east", "a", changes=(change,))

    upgrade = of("570.172.08", "580.95.05")
    assert labels_together([upgrade]) == [upgrade]
    (line,) = labels_together([of("580.95.05", None), of(None, "580.95.05")])
    assert (line.kind, len(line.changes)) == ("labels", 2)
