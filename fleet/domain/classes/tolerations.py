"""Which taints of a pool's nodes the pods of a class tolerate."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.catalog.node_taints import is_lasting
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.snapshot import Taint


def pool_tolerations(pool: PoolSpec, nodes: Sequence[PlacementNode]) -> tuple[tuple[Toleration, ...], tuple[str, ...]]:
    """Returns the tolerations and a sentence for each taint that not all nodes have.

    The taints that the pool's policy names; without such a policy, the union of what its nodes carry for longer than a moment.
    """
    if pool.policy.taints:
        taints: dict[Taint, list[PlacementNode]] = {taint: list(nodes) for taint in pool.policy.taints}
    else:
        taints = {}
        for node in nodes:
            for taint in node.taints:
                if is_lasting(taint):
                    taints.setdefault(taint, []).append(node)
    kept_out = {taint: carriers for taint, carriers in taints.items() if taint.effect != "PreferNoSchedule"}
    warnings = [
        f"Only {carriers[0].name if len(carriers) == 1 else f'{len(carriers)} of {len(nodes)} nodes'} "
        f"of pool {pool.slug} {'has' if len(carriers) == 1 else 'have'} the taint {taint!s}: pods tolerate it."
        for taint, carriers in kept_out.items()
        if len(carriers) < len(nodes)
    ]
    order = sorted(kept_out, key=lambda taint: (taint.key, taint.value, taint.effect))
    named = pool.policy.taints and [taint for taint in pool.policy.taints if taint in kept_out]
    return tuple(dict.fromkeys([*(tolerate(taint) for taint in named or order), *pool.policy.tolerations])), tuple(warnings)


def tolerate(taint: Taint) -> Toleration:
    """Returns the toleration for exactly this taint."""
    return Toleration(taint.key, "Equal" if taint.value else "Exists", taint.value, taint.effect)
