"""Why the API server would refuse a pod, for the parts that placement reads."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.domain.label_selectors import OPERATORS
from fleet.domain.placement.requirement import NODE_NAME
from fleet.domain.placement.scheduler.terms import Spec, items, labels_of, mapping, text, texts
from fleet.domain.pod_resources import amount_of


def problem_of(spec: Spec) -> str:
    """Returns the first problem as a sentence; empty for a pod that these checks let pass."""
    if not items(spec.get("containers")):
        return "The pod has no containers."
    return _resources(spec) or _tolerations(spec) or _node_affinity(spec) or _pod_affinity(spec) or _spread(spec) or _ports(spec)


def is_extended(name: str) -> bool:
    """Returns whether the name is an extended resource (counted in whole units, requests equal limits)."""
    return "/" in name and "kubernetes.io/" not in name


def _resources(spec: Spec) -> str:
    for container in (*items(spec.get("initContainers")), *items(spec.get("containers"))):
        resources = mapping(container.get("resources"))
        limits, requests = labels_of(resources.get("limits")), labels_of(resources.get("requests"))
        for name, quantity in {**limits, **requests}.items():
            amount = amount_of(name, quantity)
            where = f"Container {text(container.get('name'))}: {name}"
            if amount is None:
                return f"{where} is “{quantity[:40]}”, which is not a quantity."
            if is_extended(name) or name.startswith("hugepages-"):
                if name not in limits:
                    return f"{where} needs a limit."
                if amount != amount_of(name, limits[name]):
                    return f"{where}: request {quantity} must equal the limit of {limits[name]}."
            elif name in limits and amount > (amount_of(name, limits[name]) or 0):
                return f"{where}: request {quantity} is more than the limit of {limits[name]}."
            if is_extended(name) and amount != int(amount):
                return f"{where} is {quantity}, which is not a whole number."
        named = {*limits, *requests}
        if any(name.startswith("hugepages-") for name in named) and not named & {"cpu", "memory"}:
            return f"Container {text(container.get('name'))}: huge pages require cpu or memory."
    return ""


def _tolerations(spec: Spec) -> str:
    for entry in items(spec.get("tolerations")):
        operator = text(entry.get("operator")) or "Equal"
        if operator == "Exists" and entry.get("value"):
            return f"Toleration of {text(entry.get('key'))}: operator Exists takes no value."
        if operator != "Exists" and not entry.get("key"):
            return "A toleration without a key needs operator Exists."
        if operator not in ("Exists", "Equal"):
            return f"Toleration operator “{operator[:40]}” is not Exists or Equal."
    return ""


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _node_affinity(spec: Spec) -> str:
    required = mapping(mapping(spec.get("affinity")).get("nodeAffinity")).get(_REQUIRED)
    if not isinstance(required, Mapping):
        return ""
    terms = items(required.get("nodeSelectorTerms"))
    if not terms:
        return "The required node affinity needs at least one term."
    for term in terms:
        for expression in items(term.get("matchExpressions")):
            if problem := _values(expression):
                return problem
        for field in items(term.get("matchFields")):
            if field.get("operator") not in ("In", "NotIn") or len(texts(field.get("values"))) != 1:
                return f"Field {text(field.get('key'))[:63]} of a node affinity needs operator In or NotIn and one value."
            if field.get("key") != NODE_NAME:
                return f"Field {text(field.get('key'))[:63]} cannot be used in a node affinity: only {NODE_NAME}."
    return ""


def _values(expression: Spec) -> str:
    """Returns what is wrong with the values of an expression of a node affinity. A word after Gt passes, and matches nothing."""
    operator, values = text(expression.get("operator")), texts(expression.get("values"))
    where = f"Expression on {text(expression.get('key'))[:63]}"
    if operator in ("In", "NotIn") and not values:
        return f"{where}: operator {operator} needs values."
    if operator in ("Exists", "DoesNotExist") and values:
        return f"{where}: operator {operator} takes no values."
    if operator in ("Gt", "Lt") and len(values) != 1:
        return f"{where}: operator {operator} needs exactly one value."
    if operator not in OPERATORS:
        return f"{where}: operator “{operator[:40]}” does not exist."
    return ""


def _pod_affinity(spec: Spec) -> str:
    affinity = mapping(spec.get("affinity"))
    for kind in ("podAffinity", "podAntiAffinity"):
        for term in items(mapping(affinity.get(kind)).get(_REQUIRED)):
            if not text(term.get("topologyKey")):
                return f"A required term of {kind} needs a topologyKey."
    return ""


def _spread(spec: Spec) -> str:
    for constraint in items(spec.get("topologySpreadConstraints")):
        skew, least, when = (constraint.get(key) for key in ("maxSkew", "minDomains", "whenUnsatisfiable"))
        if not text(constraint.get("topologyKey")):
            return "A topology spread constraint needs a topologyKey."
        if not isinstance(skew, int) or skew < 1:
            return "A topology spread constraint needs a maxSkew of at least 1."
        if when not in ("DoNotSchedule", "ScheduleAnyway"):
            return "A topology spread constraint needs whenUnsatisfiable: DoNotSchedule or ScheduleAnyway."
        if least is not None and (not isinstance(least, int) or least < 1 or when != "DoNotSchedule"):
            return "minDomains of a topology spread constraint is at least 1, and only for DoNotSchedule."
    return ""


def _ports(spec: Spec) -> str:
    occupied = set()
    for container in items(spec.get("containers")):
        for port in items(container.get("ports")):
            key = (text(port.get("protocol")) or "TCP", text(port.get("hostIP")), port.get("hostPort"))
            if port.get("hostPort"):
                if key in occupied:
                    return f"Host port {key[2]} is used twice."
                occupied.add(key)
    return ""
