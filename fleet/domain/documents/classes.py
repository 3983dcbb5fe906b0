"""A workload class as a document."""

from __future__ import annotations

from typing import Any

from fleet.domain.classes.workload import ISOLATIONS, MOST_GPUS, MOST_NODES, TOPOLOGIES, ClassSpec, problems
from fleet.domain.documents.fields import Fields

FIELD_NAMES = {
    "title": "title",
    "purpose": "purpose",
    "isolation": "isolation",
    "gpus": "gpus",
    "sizes": "sizes",
    "min_memory_mib": "minMemoryMiB",
    "profile": "profile",
    "products": "products",
    "cpu_per_slot": "cpuPerSlot",
    "memory_per_slot": "memoryPerSlot",
    "storage_per_slot": "ephemeralStoragePerSlot",
    "hugepages_2mi_per_slot": "hugepages2MiPerSlot",
    "hugepages_1gi_per_slot": "hugepages1GiPerSlot",
    "topology": "topology",
    "nodes": "nodes",
    "min_driver": "minDriver",
    "min_cuda": "minCuda",
    "priority_class": "priorityClass",
    "runtime_class": "runtimeClass",
    "max_replicas": "maxReplicas",
    "max_hours": "maxHours",
    "pools": "pools",
}
"""Field of the struct to its name in the document, in the order of the document."""


def read_class(slug: str, spec: Fields) -> ClassSpec:
    default = ClassSpec(slug=slug)
    class_spec = ClassSpec(
        slug=slug,
        title=spec.text("title", longest=200),
        purpose=spec.text("purpose"),
        isolation=spec.choice("isolation", ISOLATIONS, default.isolation),
        gpus=spec.whole("gpus", default.gpus, least=1, most=MOST_GPUS) or default.gpus,
        sizes=spec.wholes("sizes", least=1, most=MOST_GPUS),
        min_memory_mib=spec.whole("minMemoryMiB", None, least=1),
        profile=spec.text("profile", longest=40),
        products=spec.texts("products"),
        cpu_per_slot=spec.text("cpuPerSlot", longest=40),
        memory_per_slot=spec.text("memoryPerSlot", longest=40),
        storage_per_slot=spec.text("ephemeralStoragePerSlot", longest=40),
        hugepages_2mi_per_slot=spec.text("hugepages2MiPerSlot", longest=40),
        hugepages_1gi_per_slot=spec.text("hugepages1GiPerSlot", longest=40),
        topology=spec.choice("topology", TOPOLOGIES, default.topology),
        nodes=spec.whole("nodes", default.nodes, least=1, most=MOST_NODES) or default.nodes,
        min_driver=spec.text("minDriver", longest=40),
        min_cuda=spec.text("minCuda", longest=40),
        priority_class=spec.text("priorityClass", longest=253),
        runtime_class=spec.text("runtimeClass", longest=253),
        max_replicas=spec.whole("maxReplicas", None),
        max_hours=spec.whole("maxHours", None, least=1),
        pools=spec.texts("pools"),
    )
    spec.done()
    for field, text in problems(class_spec):
        spec.wrong(FIELD_NAMES[field], text)
    return class_spec


def write_class(class_spec: ClassSpec) -> dict[str, Any]:
    """Returns the spec of the document: defaults are left out, fields are in a fixed order."""
    default = ClassSpec(slug=class_spec.slug)
    fields: dict[str, Any] = {}
    for field, name in FIELD_NAMES.items():
        value = getattr(class_spec, field)
        if value != getattr(default, field):
            fields[name] = list(value) if isinstance(value, tuple) else value
    return fields
