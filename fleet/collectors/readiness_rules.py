"""NodeReadinessRules: gates declared by an administrator that keep nodes out until their conditions are met."""

from __future__ import annotations

import msgspec

from fleet.collectors.apis import Apis, absent, explain_refusal
from fleet.collectors.errors import Asked, Failure
from fleet.collectors.nodes import TaintWire, parse_taints
from fleet.collectors.paging import Listing, PageDecoder, read_list
from fleet.collectors.session import Session
from fleet.collectors.wire import ObjectMeta
from fleet.domain.label_selectors import Requirement, from_expression
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot.nodes import Taint
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule, RequiredCondition

GROUP, VERSION = "readiness.node.x-k8s.io", "v1alpha1"
RULES = Asked(verb="list", resource="nodereadinessrules", group=GROUP, optional=True)
_MOST = 64
"""Of one list of a rule."""
_LONGEST = 316


class _Condition(msgspec.Struct, rename="camel", gc=False):
    type: str | None = None
    required_status: str | None = None


class _Expression(msgspec.Struct, gc=False):
    key: str | None = None
    operator: str | None = None
    values: list[str] | None = None


class _Selector(msgspec.Struct, rename="camel", gc=False):
    match_labels: dict[str, str] | None = None
    match_expressions: list[_Expression] | None = None


class _Spec(msgspec.Struct, rename="camel", gc=False):
    conditions: list[_Condition] | None = None
    taint: TaintWire | None = None
    enforcement_mode: str | None = None
    node_selector: _Selector | None = None
    dry_run: bool | None = None


class RuleWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: _Spec | None = None


_pages = PageDecoder(RuleWire)


def fetch(session: Session, apis: Apis) -> Listing[NodeReadinessRule]:
    """Reads every NodeReadinessRule. Raises Failure (absent where the controller is not installed)."""

    def keep(wires: list[RuleWire]) -> list[NodeReadinessRule]:
        return [rule for wire in wires if (rule := parse(wire)) is not None]

    if apis.serves(GROUP, VERSION) is False:
        raise absent(RULES)
    try:
        return read_list(session, f"/apis/{GROUP}/{VERSION}/{RULES.resource}", RULES, _pages, keep)
    except Failure as failure:
        raise explain_refusal(session, apis, failure, RULES, VERSION) from None


def parse(wire: RuleWire) -> NodeReadinessRule | None:
    """Returns the rule; None where it has no taint or no condition, which Kubernetes does not accept."""
    meta, spec = wire.metadata or ObjectMeta(), wire.spec or _Spec()
    taints = _bounded(parse_taints([spec.taint] if spec.taint else ()))
    conditions = tuple(
        RequiredCondition(condition.type[:_LONGEST], (condition.required_status or "")[:_LONGEST])
        for condition in (spec.conditions or ())[:_MOST]
        if condition.type
    )
    if not taints or not conditions:
        return None
    selector = _selector(spec.node_selector)
    return NodeReadinessRule(
        name=(meta.name or "")[:_LONGEST],
        conditions=conditions,
        taint=taints[0],
        continuous=spec.enforcement_mode == "continuous",
        dry_run=bool(spec.dry_run),
        selector=selector or (),
        selects=selector is not None,
    )


def _selector(wire: _Selector | None) -> tuple[Requirement, ...] | None:
    """Returns the requirements of a label selector; None where one of them cannot be read."""
    labels = (wire.match_labels if wire else None) or {}
    expressions = (wire.match_expressions if wire else None) or []
    if len(labels) + len(expressions) > _MOST:
        return None
    try:
        return (
            *(from_expression(key, "In", [value]) for key, value in labels.items()),
            *(
                from_expression(expression.key or "", expression.operator or "", (expression.values or ())[:_MOST])
                for expression in expressions
            ),
        )
    except FieldError:
        return None


def _bounded(taints: tuple[Taint, ...]) -> tuple[Taint, ...]:
    return tuple(Taint(taint.key[:_LONGEST], taint.value[:_LONGEST], taint.effect[:_LONGEST]) for taint in taints)
