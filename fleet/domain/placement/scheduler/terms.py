"""Selectors and affinity terms of a specification, as requirements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fleet.domain.label_selectors import Requirement, from_expression
from fleet.domain.placement.requirement import NODE_NAME
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot.scheduling import PodTerm, SpreadConstraint, Toleration

NEVER = (Requirement(NODE_NAME, "in", ()),)
"""A term that matches no node: an empty one, or one the scheduler cannot read (Gt with a word)."""
_MOST = 256
"""Terms, expressions and values read of one list; the API server's limits on object size allow more, people do not write it."""
Spec = Mapping[str, Any]


def mapping(value: object) -> Spec:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Spec]:
    """Returns the mappings of a list; empty for anything else."""
    return [entry for entry in value[:_MOST] if isinstance(entry, Mapping)] if isinstance(value, list) else []


def texts(value: object) -> tuple[str, ...]:
    return tuple(str(entry) for entry in value[:_MOST]) if isinstance(value, list) else ()


def text(value: object) -> str:
    """Returns a scalar as text; empty for nothing and for lists and mappings."""
    return "" if value is None or isinstance(value, list | dict) else str(value)


def labels_of(value: object) -> dict[str, str]:
    return {str(key): text(entry) for key, entry in mapping(value).items()}


def tolerations(value: object) -> tuple[Toleration, ...]:
    return tuple(
        Toleration(
            text(entry.get("key")), text(entry.get("operator")) or "Equal", text(entry.get("value")), text(entry.get("effect"))
        )
        for entry in items(value)
    )


def node_terms(value: object) -> tuple[tuple[Requirement, ...], ...] | None:
    """Terms of a required node affinity (a NodeSelector); None where there is none."""
    if not isinstance(value, Mapping):
        return None
    return tuple(_node_term(term) for term in items(value.get("nodeSelectorTerms")))


def _node_term(term: Spec) -> tuple[Requirement, ...]:
    expressions, fields = items(term.get("matchExpressions")), items(term.get("matchFields"))
    if not expressions and not fields:
        return NEVER
    try:
        requirements = [_expression(expression) for expression in expressions]
    except FieldError:
        return NEVER
    for field in fields:
        operator, values = text(field.get("operator")), texts(field.get("values"))
        if field.get("key") != NODE_NAME or operator not in ("In", "NotIn") or len(values) != 1:
            return NEVER
        requirements.append(Requirement(NODE_NAME, "in" if operator == "In" else "notin", values))
    return tuple(requirements)


def topology_terms(value: object) -> tuple[tuple[Requirement, ...], ...] | None:
    """AllowedTopologies of a StorageClass; None for anywhere."""
    terms = items(value)
    if not terms:
        return None
    return tuple(
        tuple(
            Requirement(text(entry.get("key")), "in", texts(entry.get("values")))
            for entry in items(term.get("matchLabelExpressions"))
        )
        for term in terms
    )


def label_selector(value: object) -> tuple[Requirement, ...] | None:
    """Returns a LabelSelector; None for null, which selects nothing, and for one that cannot be read."""
    if not isinstance(value, Mapping):
        return None
    requirements = [Requirement(key, "in", (entry,)) for key, entry in labels_of(value.get("matchLabels")).items()]
    try:
        requirements += [_expression(expression) for expression in items(value.get("matchExpressions"))]
    except FieldError:
        return None
    return tuple(requirements)


def _expression(expression: Spec) -> Requirement:
    return from_expression(text(expression.get("key")), text(expression.get("operator")), texts(expression.get("values")))


def pod_terms(value: object, labels: Mapping[str, str]) -> tuple[PodTerm, ...]:
    """Required terms of a pod (anti-)affinity of a pod with these labels."""
    terms = []
    for term in items(value):
        namespaces = term.get("namespaceSelector")
        selector = label_selector(term.get("labelSelector"))
        selector = _with_keys(selector, texts(term.get("matchLabelKeys")), labels, "in")
        selector = _with_keys(selector, texts(term.get("mismatchLabelKeys")), labels, "notin")
        terms.append(
            PodTerm(
                topology_key=text(term.get("topologyKey")),
                selector=selector,
                namespaces=texts(term.get("namespaces")),
                namespace_selector=None if namespaces is None else label_selector(namespaces),
            )
        )
    return tuple(terms)


def _with_keys(
    selector: tuple[Requirement, ...] | None, keys: Iterable[str], labels: Mapping[str, str], operator: str
) -> tuple[Requirement, ...] | None:
    """Returns the selector with the pod's own values of these labels; keys the pod does not carry are ignored."""
    if selector is None:
        return None
    return (*selector, *(Requirement(key, operator, (labels[key],)) for key in keys if key in labels))


def spread_constraints(value: object, labels: Mapping[str, str]) -> tuple[SpreadConstraint, ...]:
    """Returns the hard constraints; soft ones (ScheduleAnyway) keep no pod out of any node."""
    return tuple(
        SpreadConstraint(
            topology_key=text(entry.get("topologyKey")),
            max_skew=_number(entry.get("maxSkew"), 1),
            selector=_with_keys(label_selector(entry.get("labelSelector")), texts(entry.get("matchLabelKeys")), labels, "in"),
            min_domains=_number(entry.get("minDomains"), 1),
            honor_affinity=entry.get("nodeAffinityPolicy") != "Ignore",
            honor_taints=entry.get("nodeTaintsPolicy") == "Honor",
        )
        for entry in items(value)
        if (text(entry.get("whenUnsatisfiable")) or "DoNotSchedule") == "DoNotSchedule"
    )


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
