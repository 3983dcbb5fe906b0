"""Samples of the History page's chart and of a cluster's runs, for the pattern page: invented, not read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fleet.domain.history.changes import Group
from fleet.domain.history.intervals import VERDICTS
from fleet.selectors.cluster_runs import Step
from fleet.selectors.history.availability_rows import Cell, HeatMap, HeatRow, Row
from fleet.selectors.history.usable import Line, Point
from fleet.web.charts import history as history_chart

LONG = "gke-a3-ultra-inference-pool-with-a-name-up-to-the-limit-3f2c9b1e"
_DAYS = 14


def samples(now: datetime) -> dict[str, object]:
    """The heat map, the line of usable GPUs and the changes on one axis: two weeks with outages, and two weeks without data."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = midnight - timedelta(days=_DAYS - 1)
    days = tuple(since + timedelta(days=number) for number in range(_DAYS))
    return {"run_strips": [_runs(since), (), None],
            "heat_maps": [_chart("hard", _hard(days), _line(since), _changes(since)),
                          _chart("dark", _dark(days), Line(timedelta(hours=1), ()), [])]}  # fmt: skip


def _runs(since: datetime) -> tuple[Step, ...]:
    """A day of runs: all well, then some sections missing, then failed, then none, then well again."""
    parts = [(20, (30, 0, 0)), (4, (30, 0, 7)), (6, (30, 30, 0)), (8, (0, 0, 0)), (10, (30, 0, 0))]
    counts = [each for length, each in parts for _ in range(length)]
    return tuple(Step(since + timedelta(minutes=30 * place), *each) for place, each in enumerate(counts))


def _chart(name: str, heat: HeatMap, line: Line, groups: list[Group]) -> dict[str, object]:
    return {**history_chart.history(heat, line, groups, lambda name, day: "#", ranked=True), "id": f"history-{name}"}


def _hard(days: tuple[datetime, ...]) -> HeatMap:
    """Every band, days mostly unknown, days without a node, the longest name, and nodes in no pool."""
    odd: dict[str, dict[int, float | None]] = {
        "a100-batch": {8: 61.4, 9: 76.2, 10: 91.8, 11: 96.9},
        "h100-prod-inference": {1: 97.2, 8: 98.4, 13: 96.8},
        LONG: {4: None, 5: None, 6: 93.8},
        "": {0: 87.5},
    }
    return HeatMap("pool", days, tuple(_row(name, days, rows, born=3 if name == LONG else 0) for name, rows in odd.items()))


def _dark(days: tuple[datetime, ...]) -> HeatMap:
    return HeatMap("cluster", days, (_row("research-onprem", days, dict.fromkeys(range(_DAYS))),))


def _row(name: str, days: tuple[datetime, ...], odd: dict[int, float | None], born: int = 0) -> HeatRow:
    rows = [None if place < born else odd.get(place, 100.0) for place in range(_DAYS)]
    cells = tuple(
        None if place < born else Cell(day, percent, 100.0 if percent is None else 0.0, is_unknown=percent is None)
        for place, (day, percent) in enumerate(zip(days, rows, strict=True))
    )
    known = [percent for percent in rows if percent is not None]
    seconds = dict.fromkeys(VERDICTS, 0)
    mean = sum(known) / len(known) if known else None
    return HeatRow(name, 12, cells, Row(name, "", 12, seconds, mean, 0.0, 0.0, 3, 1, 0, 3, 2_880.0, None))


def _line(since: datetime) -> Line:
    """A dip on the ninth day, and before it hours with a fifth of the GPUs unknown."""
    points = []
    for hour in range(24 * _DAYS):
        dip = max(0.0, 16 - abs(hour - 8 * 24 - 17) / 2)
        unknown = 21.0 if 4 * 24 <= hour < 6 * 24 else 0.0
        points.append(Point(since + timedelta(hours=hour), 98.5 - dip - hour % 5 / 10, unknown, 1_064 * (dip + 1.5) / 100))
    return Line(timedelta(hours=1), tuple(points))


def _changes(since: datetime) -> list[Group]:
    def group(kind: str, title: str, hours: float, nodes: int) -> Group:
        at = since + timedelta(hours=hours)
        names = tuple(f"node-{number:02}" for number in range(nodes))
        return Group(
            kind=kind, title=title, cluster="prod-us-east", at=at, until=at + timedelta(hours=2), nodes=names, differences=()
        )

    return [
        group("taints", "Taint dedicated added", 12 * 24, 1),
        group("driver", "Driver 570.172.08 → 580.95.05", 8 * 24 + 9, 22),
        group("mig", "MIG geometry all-1g.10gb → all-balanced", 3 * 24, 12),
    ]
