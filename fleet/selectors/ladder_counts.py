"""Number of nodes per rung and status of the readiness ladder."""

from __future__ import annotations

from django.db import connection

_SQL = """
SELECT cluster.name, coalesce(membership.slug, ''), node.product, rung->>'id', rung->>'status', count(*)
FROM fleet_node node
JOIN fleet_cluster cluster ON cluster.id = node.cluster_id
LEFT JOIN LATERAL (
    SELECT pool.slug
    FROM fleet_poolmembership member
    JOIN fleet_pool pool ON pool.id = member.pool_id AND pool.removed_at IS NULL
    WHERE member.node_id = node.id AND upper_inf(member.period)
    ORDER BY (pool.spec #> '{policy,exclusive}' = 'false') IS TRUE, pool.slug
    LIMIT 1
) membership ON true
CROSS JOIN LATERAL jsonb_array_elements(node.rungs) rung
WHERE node.removed_at IS NULL AND cluster.removed_at IS NULL
GROUP BY 1, 2, 3, 4, 5
"""


def by_status() -> list[tuple[str, str, str, str, str, int]]:
    """(cluster, pool, product, rung id, status, nodes) of the present nodes; one query.

    Not evaluated nodes are left out; the pool is selectors.pools.primary_slug.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SQL)
        return list(cursor.fetchall())
