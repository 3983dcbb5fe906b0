"""Intel's two kernel drivers on one node: each advertises the GPUs bound to it, and a changed driver leaves the other's name.

A GPU is bound to i915 or to xe, never to both. Source: intel-device-plugins-for-kubernetes, cmd/gpu_plugin/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims

_NAMES = (labels.INTEL_I915, labels.INTEL_XE)


def both(capacity: Mapping[str, int]) -> bool:
    """Returns whether slots of both drivers are advertised."""
    return all(capacity.get(name) for name in _NAMES)


def divided(claims: NodeClaims) -> tuple[str, ...]:
    """Returns both names where they divide the GPUs that labels count between them; else none."""
    gpus = claims.facts.count
    if not gpus or not both(claims.capacity) or doubled(claims):
        return ()
    return _NAMES


def doubled(claims: NodeClaims) -> str:
    """Returns the name under which the same GPUs are advertised a second time; "" for none.

    So it is where both names together have more slots than the labelled GPUs make: the slots of one alone are a multiple of the
    GPUs. The one without allocatable slots is the earlier driver's; else xe, the newer driver, is believed.
    """
    gpus = claims.facts.count
    if not gpus or not both(claims.capacity):
        return ""
    slots = [claims.capacity[name] for name in _NAMES]
    if sum(slots) <= gpus or any(number % gpus for number in slots):
        return ""
    usable = [name for name in _NAMES if claims.resources[name].allocatable]
    return labels.INTEL_XE if usable == [labels.INTEL_I915] else labels.INTEL_I915
