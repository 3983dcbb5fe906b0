"""Claims that a manifest brings along: of volumes (documents, templates of a StatefulSet, ephemeral volumes) and of devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.domain.placement.scheduler.objects import volume_claim
from fleet.domain.placement.scheduler.terms import Spec, items, mapping, text
from fleet.domain.snapshot.scheduling import StorageClass, VolumeClaim

_MOST = 200


def claim_specs(documents: Sequence[Spec], kind: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns namespace to name to the spec of a PersistentVolumeClaim, a ResourceClaim, or the claim of a template."""
    specs: dict[str, dict[str, dict[str, Any]]] = {}
    for document in documents:
        if text(document.get("kind")) == kind:
            outer, spec = mapping(document.get("metadata")), mapping(document.get("spec"))
            spec = mapping(spec.get("spec")) if kind == "ResourceClaimTemplate" else spec
            namespace = text(outer.get("namespace"))[:63] or "default"
            specs.setdefault(namespace, {})[text(outer.get("name"))[:253]] = dict(spec)
    return specs


def with_templates(document: Spec, spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Returns a pod's spec with the volumes of a StatefulSet's first pod, and the specs of their claims by name.

    The controller mounts claim TEMPLATE-SET-0 as volume TEMPLATE, in place of a volume of that name.
    """
    claims: dict[str, dict[str, Any]] = {}
    volumes = {text(volume.get("name")): dict(volume) for volume in items(spec.get("volumes"))}
    owner = text(mapping(document.get("metadata")).get("name"))
    for template in items(mapping(document.get("spec")).get("volumeClaimTemplates"))[:_MOST]:
        name = text(mapping(template.get("metadata")).get("name"))[:253]
        claim = f"{name}-{owner}-0"
        claims[claim] = dict(mapping(template.get("spec")))
        volumes[name] = {"name": name, "persistentVolumeClaim": {"claimName": claim}}
    return ({**spec, "volumes": list(volumes.values())} if claims else spec), claims


def new_claims(
    namespace: str, pod: str, spec: Spec, given: Mapping[str, Mapping[str, Any]], classes: Sequence[StorageClass]
) -> tuple[VolumeClaim, ...]:
    """Returns the claims of a manifest as the API server would store them: without a class they get the default one."""
    specs = dict(given)
    for volume in items(spec.get("volumes")):
        ephemeral = volume.get("ephemeral")
        if isinstance(ephemeral, Mapping):
            template = mapping(mapping(ephemeral).get("volumeClaimTemplate"))
            specs[f"{pod}-{text(volume.get('name'))}"] = mapping(template.get("spec"))
    default = next((entry.name for entry in classes if entry.default), "")
    rows = []
    for name, wanted in list(specs.items())[:_MOST]:
        written = {**wanted, "storageClassName": default} if wanted.get("storageClassName") is None else wanted
        rows.append(volume_claim({"metadata": {"name": name, "namespace": namespace}, "spec": written}))
    return tuple(rows)
