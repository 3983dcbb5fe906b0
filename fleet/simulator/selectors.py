"""Label and field selectors, as the API server reads them."""

from __future__ import annotations

import re
from collections.abc import Callable

from fleet.simulator import errors
from fleet.simulator.resources import EVENTS, NODES, PODS, Kind
from fleet.simulator.store import Record

Test = Callable[[Record], bool]

_FIELDS: dict[Kind, tuple[str, ...]] = {
    NODES: ("spec.unschedulable",),
    PODS: (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    ),
    EVENTS: (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    ),
}  # fmt: skip
_SET = re.compile(r"^(?P<key>[^\s=!<>(),]+)\s+(?P<how>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s=!<>(),]+)\s*(?P<how>==|=|!=)\s*(?P<value>[^\s=!<>(),]*)$")
_EXISTS = re.compile(r"^(?P<not>!\s*)?(?P<key>[^\s=!<>(),]+)$")
_ORDER = re.compile(r"^(?P<key>[^\s=!<>(),]+)\s*(?P<how>[<>]|\s(?:gt|lt)\s)\s*(?P<value>-?\d+)$")


def labels(text: str) -> list[Test]:
    """The tests a label selector makes; raises Refusal 400 for one that cannot be read."""
    return [_label_test(part) for part in _parts(text)]


def _parts(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _label_test(part: str) -> Test:
    if match := _SET.match(part):
        key, inside = match["key"], match["how"] == "in"
        values = frozenset(value.strip() for value in match["values"].split(","))
        if inside:
            return lambda record: record.labels.get(key) in values
        return lambda record: record.labels.get(key) not in values
    if match := _EQUAL.match(part):
        key, value = match["key"], match["value"]
        if match["how"] == "!=":
            return lambda record: record.labels.get(key) != value
        return lambda record: record.labels.get(key) == value
    if match := _EXISTS.match(part):
        key = match["key"]
        if match["not"]:
            return lambda record: key not in record.labels
        return lambda record: key in record.labels
    if match := _ORDER.match(part):
        return _order_test(match["key"], match["how"].strip(), int(match["value"]))
    words = part.split()
    odd = words[1] if len(words) > 1 else part
    raise errors.bad_request(f"unable to parse requirement: found '{odd}', expected: in, notin, =, ==, !=, gt, lt")


def _order_test(key: str, how: str, limit: int) -> Test:
    above = how in (">", "gt")

    def test(record: Record) -> bool:
        value = record.labels.get(key, "")
        if not value.lstrip("-").isdigit():
            return False
        return int(value) > limit if above else int(value) < limit

    return test


def fields(text: str, kind: Kind) -> tuple[list[Test], str]:
    """The tests a field selector makes, and the node it asks for with `spec.nodeName=`, for the index; else ""."""
    allowed = ("metadata.name", *(("metadata.namespace",) if kind.namespaced else ()), *_FIELDS.get(kind, ()))
    tests: list[Test] = []
    node = ""
    for part in (part for part in text.split(",") if part):
        match = re.match(r"^([^=!]+)(==|=|!=)(.*)$", part)
        if not match:
            raise errors.bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        path, how, value = match.groups()
        if path not in allowed:
            raise errors.bad_request(f"field label not supported: {path}")
        tests.append(_field_test(path, value, how != "!="))
        if path == "spec.nodeName" and how != "!=" and value:
            node = value
    return tests, node


def _field_test(path: str, value: str, same: bool) -> Test:
    return lambda record: (record.fields.get(path, "") == value) == same
