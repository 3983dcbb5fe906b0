"""The form of a pool: its selector, purpose and policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from fleet.domain.declared.documents import POOL
from fleet.domain.label_selectors import to_text
from fleet.domain.placement.nodes import MODES
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.policy import Pool, PoolPolicy
from fleet.domain.pools.selectors import PARTITIONINGS, SHARINGS
from fleet.domain.snapshot import Taint
from fleet.web.declared_forms import DeclaredForm, Lines, Names, Switch, Text

MODE_CHOICES = (
    ("full", "Full GPU"),
    ("mig", "MIG"),
    ("time-sliced", "Time-sliced"),
    ("mps", "MPS"),
    ("mig-shared", "MIG, shared"),
)
assert tuple(mode for mode, _ in MODE_CHOICES) == MODES  # noqa: S101 a mode without a word would not be offered


class PoolForm(DeclaredForm):
    KIND = POOL
    PATHS = {
        "title": "title",
        "description": "description",
        "labels": "selector.labels",
        "clusters": "selector.clusters",
        "products": "selector.products",
        "partitioning": "selector.partitioning",
        "sharing": "selector.sharing",
        "purpose": "policy.purpose",
        "modes": "policy.modes",
        "taints": "policy.taints",
        "tolerations": "policy.tolerations",
        "one_product": "policy.oneProduct",
        "one_driver": "policy.oneDriver",
        "min_driver": "policy.driver.min",
        "max_driver": "policy.driver.max",
        "required_rung": "policy.requiredRung",
        "other_pods": "policy.otherPods",
        "priority_class": "policy.priorityClass",
        "promise_percent": "policy.promisePercent",
        "min_ready": "policy.minReady",
        "partial_nodes": "policy.partialNodes",
        "exclusive": "policy.exclusive",
        "nvlink": "policy.nvlink",
        "owner": "policy.owner",
        "review_on": "policy.reviewOn",
    }

    title, description, labels = Text(), Text(), Text()
    clusters, products = Names(required=False), Names(required=False)
    partitioning = Names(required=False, choices=[(one, one) for one in PARTITIONINGS])
    sharing = Names(required=False, choices=[(one, one) for one in SHARINGS])
    purpose, owner, review_on = Text(), Text(), Text()
    modes = Names(required=False, choices=MODE_CHOICES)
    taints, tolerations = Lines(), Lines()
    one_product, one_driver = Switch(initial=True), Switch(initial=True)
    min_driver, max_driver = Text(), Text()
    required_rung = forms.CharField(required=False, initial="7")
    other_pods, partial_nodes, exclusive, nvlink = Switch(), Switch(), Switch(initial=True), Switch()
    priority_class, promise_percent, min_ready = Text(), Text(), Text()

    def document(self, told: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(told)
        given["taints"] = [_taint(text) for text in told.get("taints", ())]
        given["tolerations"] = [_toleration(text) for text in told.get("tolerations", ())]
        return super().document(given)

    @property
    def spec(self) -> Pool | None:
        """The pool that is declared; None where something is wrong with it."""
        return self.declared.pools[0] if self.declared.pools and not self.declared.problems else None


def initial_of(pool: Pool) -> dict[str, Any]:
    """What the form shows for a pool."""
    selector, policy = pool.selector, pool.policy
    told: dict[str, Any] = {name: getattr(policy, name) for name in PoolPolicy.__struct_fields__ if name in PoolForm.PATHS}
    for name in ("promise_percent", "min_ready", "review_on"):
        told[name] = "" if told[name] is None else f"{told[name]:g}" if name == "promise_percent" else str(told[name])
    return {
        **told,
        "slug": pool.slug,
        "title": pool.title,
        "description": pool.description,
        "labels": to_text(selector.labels),
        "clusters": list(selector.clusters),
        "products": list(selector.products),
        "partitioning": list(selector.partitioning),
        "sharing": list(selector.sharing),
        "modes": list(policy.modes),
        "taints": "\n".join(written_taint(one) for one in policy.taints),
        "tolerations": "\n".join(written_toleration(one) for one in policy.tolerations),
    }


def written_taint(one: Taint) -> str:
    """`key=value:Effect`, as kubectl writes it."""
    return f"{one.key}={one.value}:{one.effect}" if one.value else f"{one.key}:{one.effect}"


def written_toleration(one: Toleration) -> str:
    """As a taint; without `=` any value, without `:` any effect, `*` any key."""
    key = one.key or "*"
    value = f"={one.value}" if one.operator == "Equal" else ""
    return f"{key}{value}:{one.effect}" if one.effect else f"{key}{value}"


def _parts(text: str) -> tuple[str, str | None, str]:
    """Key, value (None: none written) and effect of `key=value:Effect`."""
    body, colon, effect = text.rpartition(":")
    if not colon:
        body, effect = text, ""
    key, equals, value = body.partition("=")
    return key.strip(), value.strip() if equals else None, effect.strip()


def _taint(text: str) -> dict[str, str]:
    key, value, effect = _parts(text)
    return {"key": key, **({"value": value} if value else {}), **({"effect": effect} if effect else {})}


def _toleration(text: str) -> dict[str, str]:
    key, value, effect = _parts(text)
    found = {"key": "" if key == "*" else key, "operator": "Exists" if value is None else "Equal"}
    return {**found, **({"value": value} if value else {}), **({"effect": effect} if effect else {})}
