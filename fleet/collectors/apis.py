"""Which optional API groups a cluster serves: distinguishes "not installed" from "not allowed", which a list does not.

A list of a missing API returns 404 with permission and 403 without; discovery is open to every authenticated
caller, so it comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.collectors.errors import NOT_JSON, Asked, Failure
from fleet.collectors.session import SMALL_TIMEOUT_S, Session
from fleet.domain.snapshot.sections import Outcome


class _Version(msgspec.Struct, gc=False):
    version: str | None = None


class _Group(msgspec.Struct, gc=False):
    name: str | None = None
    versions: list[_Version] | None = None


class _Groups(msgspec.Struct, gc=False):
    groups: list[_Group] | None = None


class _Resource(msgspec.Struct, gc=False):
    name: str | None = None


class _Resources(msgspec.Struct, gc=False):
    resources: list[_Resource] | None = None


class Apis(msgspec.Struct, frozen=True):
    """API groups and their versions; `known` is False where discovery was refused: then no API counts as absent."""

    versions: dict[str, tuple[str, ...]] = {}
    known: bool = False

    def serves(self, group: str, version: str = "") -> bool | None:
        """Whether the cluster serves it; None where that could not be learned."""
        if not self.known:
            return None
        versions = self.versions.get(group, ())
        return version in versions if version else bool(versions)

    def first_of(self, group: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """The versions worth trying, best first: the served ones, or all wanted where that could not be learned."""
        if not self.known:
            return tuple(wanted)
        return tuple(version for version in wanted if version in self.versions.get(group, ()))


def fetch(session: Session) -> Apis:
    """Requests the groups. A refusal is an answer ("cannot be learned"); every other Failure is raised."""
    asked = Asked(verb="get", resource="/apis")
    try:
        answer = session.get("/apis", asked, timeout_s=SMALL_TIMEOUT_S)
    except Failure as failure:
        if failure.outcome is Outcome.FORBIDDEN:
            return Apis()
        raise
    return parse(answer.body)


def parse(body: bytes | bytearray) -> Apis:
    """Groups of an APIGroupList; "cannot be learned" for anything else."""
    try:
        groups = msgspec.json.decode(body, type=_Groups).groups
    except NOT_JSON:
        return Apis()
    if groups is None:
        return Apis()
    versions = {g.name: tuple(v.version for v in g.versions or () if v.version) for g in groups if g.name}
    return Apis(versions, known=True)


def explain_refusal(session: Session, apis: Apis, failure: Failure, asked: Asked, version: str) -> Failure:
    """The actual state behind a 403 of an optional API: absent, if the group's own resource list does not contain it."""
    if failure.outcome is not Outcome.FORBIDDEN:
        return failure
    if not apis.known:
        return Failure(Outcome.FORBIDDEN, f"{failure.reason} Whether it is installed is unknown: discovery is refused, too.")
    try:
        answer = session.get(f"/apis/{asked.group}/{version}", asked, timeout_s=SMALL_TIMEOUT_S)
        resources = msgspec.json.decode(answer.body, type=_Resources).resources
    except (Failure, *NOT_JSON):
        return failure
    if resources is not None and all(resource.name != asked.resource for resource in resources):
        return absent(asked)
    return failure


def absent(asked: Asked) -> Failure:
    return Failure(Outcome.ABSENT, f"{asked.resource}.{asked.group} is not installed on this cluster.")
