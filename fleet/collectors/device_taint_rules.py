"""DeviceTaintRules: taints that an administrator puts on devices, written in the rule and not in the slices."""

from __future__ import annotations

import msgspec

from fleet.collectors import managed_fields
from fleet.collectors.apis import Apis
from fleet.collectors.errors import Asked
from fleet.collectors.nodes import TaintWire, parse_taints
from fleet.collectors.paging import Listing, PageDecoder
from fleet.collectors.resource_slices import GROUP, read_dra
from fleet.collectors.session import Session
from fleet.collectors.wire import ManagedMeta
from fleet.domain.dra.wire import SelectorWire, cut, parse_selectors
from fleet.domain.snapshot.dra import DeviceTaintRule


class _Selector(msgspec.Struct, rename="camel", gc=False):
    driver: str | None = None
    pool: str | None = None
    device: str | None = None
    device_class_name: str | None = None
    selectors: list[SelectorWire] | None = None


class _Spec(msgspec.Struct, rename="camel", gc=False):
    device_selector: _Selector | None = None
    taint: TaintWire | None = None


class RuleWire(msgspec.Struct, gc=False):
    metadata: ManagedMeta | None = None
    spec: _Spec | None = None


_pages = PageDecoder(RuleWire)


def fetch(session: Session, apis: Apis) -> Listing[DeviceTaintRule]:
    """Reads every DeviceTaintRule. Raises Failure (absent where the API does not serve them)."""

    def keep(wires: list[RuleWire]) -> list[DeviceTaintRule]:
        return [rule for wire in wires if (rule := parse(wire)) is not None]

    return read_dra(session, apis, Asked(verb="list", resource="devicetaintrules", group=GROUP, optional=True), _pages, keep)[0]


def parse(wire: RuleWire) -> DeviceTaintRule | None:
    """Returns the rule; None where it has no taint.

    Without a deviceSelector it is for every device, as the scheduler of Kubernetes 1.36 reads it.
    """
    meta, spec = wire.metadata or ManagedMeta(), wire.spec or _Spec()
    taints = parse_taints([spec.taint] if spec.taint else ())
    if not taints:
        return None
    selector = spec.device_selector or _Selector()
    return DeviceTaintRule(
        name=cut(meta.name),
        taint=taints[0],
        driver=cut(selector.driver),
        pool=cut(selector.pool),
        device=cut(selector.device),
        device_class=cut(selector.device_class_name),
        selectors=parse_selectors(selector.selectors),
        setter=next(iter(managed_fields.parse(meta.managed_fields, [managed_fields.TAINT])), None),
    )
