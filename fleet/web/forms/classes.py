"""The form of a workload class."""

from __future__ import annotations

from django import forms

from fleet.domain.classes.workload import ISOLATIONS, TOPOLOGIES, ClassSpec
from fleet.domain.documents.classes import FIELD_NAMES
from fleet.domain.documents.documents import CLASS
from fleet.web.forms.documents import DeclaredForm, Lines, Text

ISOLATION_WORDS = {
    "full": "Full GPU",
    "mig": "MIG instance",
    "time-sliced": "Time-sliced share",
    "mps": "MPS share",
    "partition": "Partition",
}


class ClassForm(DeclaredForm):
    KIND = CLASS
    PATHS = FIELD_NAMES

    title, purpose = Text(), Text()
    isolation = forms.ChoiceField(
        required=False, choices=[(name, ISOLATION_WORDS.get(name, name)) for name in ISOLATIONS], initial="full"
    )
    gpus = Text(initial="1")
    sizes, products, pools = Lines(), Lines(), Lines()
    min_memory_mib, profile = Text(), Text()
    cpu_per_slot, memory_per_slot, storage_per_slot = Text(), Text(), Text()
    hugepages_2mi_per_slot, hugepages_1gi_per_slot = Text(), Text()
    topology = forms.ChoiceField(required=False, choices=list(TOPOLOGIES.items()), initial="one-node")
    nodes = Text(initial="1")
    min_driver, min_cuda, priority_class, runtime_class, max_replicas, max_hours = (
        Text(), Text(), Text(), Text(), Text(), Text(),
    )  # fmt: skip

    @property
    def spec(self) -> ClassSpec | None:
        """The declared class; None where it is invalid."""
        return self.declared.classes[0] if self.declared.classes and not self.declared.problems else None


def initial_of(class_spec: ClassSpec) -> dict[str, object]:
    """Initial values of the form for a class."""
    fields: dict[str, object] = {name: getattr(class_spec, name) for name in ("slug", *ClassForm.PATHS)}
    return {
        name: "" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in fields.items()
    }
