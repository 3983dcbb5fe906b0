"""Every kind of manifest, which of them a class can have, and their YAML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import yaml

from fleet.domain.classes.asks import PoolAsk
from fleet.domain.manifests import parameters as given
from fleet.domain.manifests.admission import policy
from fleet.domain.manifests.dra import claim_template
from fleet.domain.manifests.kueue import kueue
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.pods import deployment, leaderworkerset, pod
from fleet.domain.manifests.quota import quota

Document = dict[str, Any]


class ManifestError(ValueError):
    """No such manifest can be written for this class; `field` names the parameter at fault, empty where none is."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of manifest: data beside a small pure function over the asks of a class, the preferred pool first."""

    id: str
    title: str
    build: Callable[[Sequence[PoolAsk], Parameters], list[Document]]
    refuses: Callable[[PoolAsk], str]
    """Why a class has no such manifest, as a sentence; empty where it has."""


def _always(ask: PoolAsk) -> str:
    return ""


def _one_pod(ask: PoolAsk) -> str:
    pods = ask.requirement.pods
    return f"A replica is {pods} pods that belong together: use a LeaderWorkerSet." if pods > 1 else ""


def _several_pods(ask: PoolAsk) -> str:
    return "" if ask.requirement.pods > 1 else "A replica is one pod: use a Deployment."


def _by_name(ask: PoolAsk) -> str:
    return (
        "Kueue counts DRA devices only by a mapping in its own configuration, which is not Muster's to write." if ask.dra else ""
    )


def _by_claim(ask: PoolAsk) -> str:
    return "" if ask.dra else f"Pool {ask.pool.slug} offers its GPUs by resource name ({ask.resource}), not through DRA."


KINDS: tuple[Kind, ...] = (
    Kind(id="pod", title="Pod", build=lambda asks, told: pod(asks[0], told), refuses=_one_pod),
    Kind(id="deployment", title="Deployment", build=lambda asks, told: deployment(asks[0], told), refuses=_one_pod),
    Kind(
        id="leaderworkerset",
        title="LeaderWorkerSet",
        build=lambda asks, told: leaderworkerset(asks[0], told),
        refuses=_several_pods,
    ),
    Kind(id="kueue", title="Kueue", build=lambda asks, told: kueue(asks[0], told), refuses=_by_name),
    Kind(id="dra", title="ResourceClaimTemplate", build=lambda asks, told: claim_template(asks[0], told), refuses=_by_claim),
    Kind(id="quota", title="ResourceQuota", build=lambda asks, told: quota(asks[0], told), refuses=_always),
    Kind(id="policy", title="ValidatingAdmissionPolicy", build=policy, refuses=_always),
)


def kinds_of(ask: PoolAsk) -> tuple[Kind, ...]:
    """The kinds that can be written for this ask, in display order."""
    return tuple(kind for kind in KINDS if not kind.refuses(ask))


def manifest(kind: str, asks: Sequence[PoolAsk], parameters: Parameters) -> list[Document]:
    """The documents of one kind for a class. `asks` are of its pools in order of preference; the first is written for.

    Raises ManifestError where the kind, a parameter or the class does not allow it.
    """
    found = next((one for one in KINDS if one.id == kind), None)
    if found is None:
        raise ManifestError("kind", f"There is no manifest “{kind[:40]}”: ask for one of {', '.join(one.id for one in KINDS)}.")
    for field, text in given.problems(parameters):
        raise ManifestError(field, text)
    if not asks:
        raise ManifestError("", "The class has no pool: there is nothing to write a manifest for.")
    if why := found.refuses(asks[0]):
        raise ManifestError("kind", why)
    return found.build(asks, parameters)


class _Dumper(yaml.SafeDumper):
    """Block style, lists indented under their key, no aliases: as people write manifests."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(documents: Sequence[Document]) -> str:
    """The documents as one YAML stream, keys in the order they were written in."""
    dumped = [yaml.dump(one, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6) for one in documents]
    return "---\n".join(dumped)
