"""Where periods, changes and words of a timeline are drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fleet.domain.history.timeline import Axis, Lane, LanePeriod, Mark, pack
from fleet.domain.history.timeline_geometry import NARROWEST, Block, draw

START = datetime(2026, 11, 20, tzinfo=UTC)
END = START + timedelta(hours=10)
AXIS = Axis(START, END)


class Plain:
    """Words that name what they are about."""

    def block(self, lane: Lane, span: LanePeriod) -> str:
        return f"{lane.label} {span.word}"

    def mark(self, mark: Mark) -> str:
        return mark.word

    def tick(self, at: datetime, *, is_day: bool) -> str:
        return f"{at:%d}" if is_day else f"{at:%H}"

    def guide(self, since: datetime) -> str:
        return f"{since:%H}"

    def end(self, at: datetime) -> str:
        return f"{at:%H}"


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


def blocks(*spans: LanePeriod, words: str = "inside", tall: bool = True) -> list[Block]:
    return draw(AXIS, [Lane("Verdict", spans, words=words, tall=tall)], END, Plain()).lanes[0].blocks


def test_a_period_takes_its_share_of_the_axis_and_ends_at_the_edge() -> None:
    early, late = blocks(LanePeriod(hour(-5), hour(2), "ready", "Ready"), LanePeriod(hour(6), None, "not_ready", "Not ready"))
    assert (early.x, early.width, early.start) == (0.0, 20.0, START)
    assert (late.x, late.width, late.label) == (60.0, 40.0, "Verdict Not ready")
    assert blocks(LanePeriod(hour(-5), hour(-1), "ready", "Ready"), LanePeriod(END, None, "ready", "Ready")) == []


def test_a_period_of_a_second_is_still_seen_also_at_the_end() -> None:
    first, last = blocks(
        LanePeriod(hour(1), hour(1) + timedelta(seconds=1), "unknown", "Unknown"),
        LanePeriod(END - timedelta(seconds=1), None, "unknown", ""),
    )
    assert first.width == last.width == NARROWEST
    assert last.x + last.width <= 100


def test_a_word_is_inside_only_where_it_fits() -> None:
    wide, narrow = blocks(LanePeriod(hour(0), hour(5), "ready", "Ready"), LanePeriod(hour(5), hour(5.5), "degraded", "Degraded"))
    assert (wide.text, narrow.text, narrow.word) == ("Ready", "", "Degraded")


def test_a_word_beside_goes_right_else_left_else_nowhere() -> None:
    spans = (
        LanePeriod(hour(2), hour(2.1), "unknown", "first"), LanePeriod(hour(8), hour(8.1), "unknown", "a second one"),
        LanePeriod(hour(8.2), hour(8.3), "unknown", "third"), LanePeriod(hour(9.8), hour(9.9), "unknown", "the last"),
    )  # fmt: skip
    drawn = blocks(*spans, words="beside", tall=False)
    assert [(block.beside, block.anchor) for block in drawn] == [
        ("first", "start"), ("a second one", "end"), ("third", "start"), ("the last", "end"),
    ]  # fmt: skip


def test_changes_outside_the_axis_are_left_out_and_crowded_words_too() -> None:
    marks = [Mark(hour(n), "driver", "driver 570 → 580") for n in (-1, 1, 1.2, 11)]
    (lane,) = draw(AXIS, [Lane("Changes", marks=marks)], END, Plain()).lanes
    assert [(mark.x, mark.text) for mark in lane.marks] == [(10.0, ""), (12.0, "driver 570 → 580")]


def test_ticks_are_round_and_within_the_axis() -> None:
    assert [(tick.x, tick.word) for tick in draw(AXIS, [], END, Plain()).ticks] == [(40.0, "04"), (80.0, "08")]
    week = Axis(START, START + timedelta(days=7))
    assert [tick.word for tick in draw(week, [], week.end, Plain()).ticks] == ["21", "22", "23", "24", "25", "26"]


def test_the_guide_is_drawn_only_where_the_trouble_began_on_the_axis() -> None:
    assert draw(AXIS, [], END, Plain(), since=hour(9)).guide == 90.0
    assert draw(AXIS, [], END, Plain(), since=hour(-1)).guide is None


def test_periods_that_meet_share_a_row_and_those_that_overlap_do_not() -> None:
    first, meets, overlaps = (LanePeriod(hour(a), hour(b), "unknown", "") for a, b in ((0, 2), (2, 4), (3, 5)))
    assert pack([overlaps, meets, first], END, most=4) == ([[first, meets], [overlaps]], 0)
    assert pack([first, LanePeriod(hour(1), None, "unknown", "")], END, most=1) == ([[first]], 1)
