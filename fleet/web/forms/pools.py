"""The form of a pool: its selector, purpose and policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms

from fleet.domain.documents.documents import POOL
from fleet.domain.label_selectors import to_text
from fleet.domain.placement.nodes import MODES
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import PARTITIONINGS, SHARINGS
from fleet.web.forms.documents import Cleaned, DeclaredForm, Lines, Names, Switch, Text

if TYPE_CHECKING:
    from fleet.domain.documents.reader import Plain

MODE_CHOICES = (
    ("full", "Full GPU"),
    ("mig", "MIG"),
    ("time-sliced", "Time-sliced"),
    ("mps", "MPS"),
    ("mig-shared", "MIG, shared"),
    ("partition", "Partition"),
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
        "availability_target": "policy.availabilityTarget",
        "min_ready": "policy.minReady",
        "partial_nodes": "policy.partialNodes",
        "exclusive": "policy.exclusive",
        "nvlink": "policy.nvlink",
        "owner": "policy.owner",
        "review_on": "policy.reviewOn",
    }

    title, description, labels = Text(), Text(), Text()
    clusters, products = Names(required=False), Names(required=False)
    partitioning = Names(required=False, choices=[(item, item) for item in PARTITIONINGS])
    sharing = Names(required=False, choices=[(entry, entry) for entry in SHARINGS])
    purpose, owner, review_on = Text(), Text(), Text()
    modes = Names(required=False, choices=MODE_CHOICES)
    taints, tolerations = Lines(), Lines()
    one_product, one_driver = Switch(initial=True), Switch(initial=True)
    min_driver, max_driver = Text(), Text()
    required_rung = forms.CharField(required=False, initial="7")
    other_pods, partial_nodes, exclusive, nvlink = Switch(), Switch(), Switch(initial=True), Switch()
    priority_class, availability_target, min_ready = Text(), Text(), Text()

    def values(self, cleaned: Cleaned) -> dict[str, Plain]:
        return {
            **cleaned,
            "taints": [_taint(text) for text in _lines(cleaned, "taints")],
            "tolerations": [_toleration(text) for text in _lines(cleaned, "tolerations")],
        }

    @property
    def spec(self) -> PoolSpec | None:
        """The declared pool; None where it is invalid."""
        return self.declared.pools[0] if self.declared.pools and not self.declared.problems else None


def _lines(cleaned: Cleaned, name: str) -> list[str]:
    value = cleaned.get(name)
    return value if isinstance(value, list) else []


def initial_of(pool: PoolSpec) -> dict[str, str | bool | list[str]]:
    """Initial values of the form for a pool."""
    selector, policy = pool.selector, pool.policy
    return {
        "slug": pool.slug,
        "title": pool.title,
        "description": pool.description,
        "labels": to_text(selector.labels),
        "clusters": list(selector.clusters),
        "products": list(selector.products),
        "partitioning": list(selector.partitioning),
        "sharing": list(selector.sharing),
        "purpose": policy.purpose,
        "modes": list(policy.modes),
        "taints": "\n".join(str(taint) for taint in policy.taints),
        "tolerations": "\n".join(written_toleration(toleration) for toleration in policy.tolerations),
        "one_product": policy.one_product,
        "one_driver": policy.one_driver,
        "min_driver": policy.min_driver,
        "max_driver": policy.max_driver,
        "required_rung": str(policy.required_rung),
        "other_pods": policy.other_pods,
        "priority_class": policy.priority_class,
        "availability_target": "" if policy.availability_target is None else f"{policy.availability_target:g}",
        "min_ready": "" if policy.min_ready is None else str(policy.min_ready),
        "partial_nodes": policy.partial_nodes,
        "exclusive": policy.exclusive,
        "nvlink": policy.nvlink,
        "owner": policy.owner,
        "review_on": "" if policy.review_on is None else str(policy.review_on),
    }


def written_toleration(toleration: Toleration) -> str:
    """As a taint; without `=` any value, without `:` any effect, `*` any key."""
    key = toleration.key or "*"
    value = f"={toleration.value}" if toleration.operator == "Equal" else ""
    return f"{key}{value}:{toleration.effect}" if toleration.effect else f"{key}{value}"


def _parts(text: str) -> tuple[str, str | None, str]:
    """Key, value (None: none written) and effect of `key=value:Effect`."""
    body, colon, effect = text.rpartition(":")
    if not colon:
        body, effect = text, ""
    key, equals, value = body.partition("=")
    return key.strip(), value.strip() if equals else None, effect.strip()


def _taint(text: str) -> dict[str, Plain]:
    key, value, effect = _parts(text)
    return {"key": key, **({"value": value} if value else {}), **({"effect": effect} if effect else {})}


def _toleration(text: str) -> dict[str, Plain]:
    key, value, effect = _parts(text)
    result: dict[str, Plain] = {"key": "" if key == "*" else key, "operator": "Exists" if value is None else "Equal"}
    return {**result, **({"value": value} if value else {}), **({"effect": effect} if effect else {})}
