"""Signals of external tools: labels, annotations and taints of a node, conditions of its pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from fleet.domain.catalog import monitors
from fleet.domain.evaluation.rules import for_newest
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot

_LONGEST = 120


class NodeSignal(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of one tool."""

    monitor: str
    place: monitors.Place
    key: str
    value: str
    meaning: monitors.Meaning
    area: str


def signals_of(node: NodeSnapshot, pods: Iterable[PodSnapshot] = ()) -> tuple[NodeSignal, ...]:
    """Returns every known signal on a node and its pods, by monitor and key."""
    stated = [
        *_read("label", node.labels.items()),
        *_read("annotation", node.annotations.items()),
        *_read("taint", ((taint.key, taint.value) for taint in node.taints)),
        *(signal for pod in pods for signal in _of_conditions(pod)),
    ]
    return tuple(sorted(set(stated), key=lambda signal: (signal.monitor, signal.key, signal.value)))


def _read(place: monitors.Place, pairs: Iterable[tuple[str, str]]) -> Iterator[NodeSignal]:
    for key, value in pairs:
        entry = monitors.signal_of(place, key)
        meaning = entry.meaning(value) if entry is not None else None
        if entry is not None and meaning is not None:
            shown = value[:_LONGEST]
            yield NodeSignal(monitor=entry.monitor, place=place, key=key, value=shown, meaning=meaning, area=entry.area)


def _of_conditions(pod: PodSnapshot) -> Iterator[NodeSignal]:
    """Yields signals that are conditions with status True; for a prefix the rest of the type is the value."""
    for type_ in pod.signals:
        entry = monitors.signal_of("pod_condition", type_)
        meaning = entry.meaning(type_.removeprefix(entry.key)) if entry is not None else None
        if entry is not None and meaning is not None:
            yield NodeSignal(
                monitor=entry.monitor, place="pod_condition", key=type_, value="True", meaning=meaning, area=entry.area
            )


@for_newest
def signals(subject: NodeSubject) -> tuple[NodeSignal, ...]:
    """Returns every known signal on the node and its pods, by monitor and key."""
    return signals_of(subject.node, subject.pods)


def meaning(subject: NodeSubject, *meanings: monitors.Meaning) -> list[NodeSignal]:
    """Returns the node's signals with one of these meanings."""
    return [signal for signal in signals(subject) if signal.meaning in meanings]
