"""Rules of a ClusterRole for permissions that Muster's service account lacks.

In: missing permissions, each with group, resource, verb and namespace. Out: YAML to paste.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def rbac_rules(missing: Iterable[Mapping[str, str]]) -> str:
    """Rules for a ClusterRole that allow what is missing, verbs and resources of one API group together.

    Below them, under a comment, those that need hold in one namespace only.
    """
    places: dict[str, list[Mapping[str, str]]] = {}
    for item in sorted(missing, key=lambda row: row["namespace"]):
        places.setdefault(item["namespace"], []).append(item)
    lines = []
    for namespace, wanted in places.items():
        lines += [f"# in a Role of the namespace {namespace}"] if namespace else []
        lines += _rules(wanted)
    return "\n".join(lines)


def _rules(missing: Iterable[Mapping[str, str]]) -> list[str]:
    verbs: dict[tuple[str, str], set[str]] = {}
    for item in missing:
        verbs.setdefault((item["group"], item["resource"]), set()).add(item["verb"])
    rules: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), wanted in verbs.items():
        rules.setdefault((group, tuple(sorted(wanted))), []).append(resource)
    lines = []
    for (group, wanted_verbs), resources in rules.items():
        lines.append(f'- apiGroups: ["{group}"]')
        lines.append(f"  resources: [{', '.join(_quoted(resources))}]")
        lines.append(f"  verbs: [{', '.join(_quoted(wanted_verbs))}]")
    return lines


def _quoted(texts: Iterable[str]) -> list[str]:
    return [f'"{text}"' for text in texts]
