"""How many nodes stand where on the readiness ladder."""

from __future__ import annotations

from django.db import connection

_SQL = """
SELECT cluster.name, node.product, rung->>'id', rung->>'status', count(*)
FROM fleet_node node
JOIN fleet_cluster cluster ON cluster.id = node.cluster_id
CROSS JOIN LATERAL jsonb_array_elements(node.rungs) rung
WHERE node.removed_at IS NULL AND cluster.removed_at IS NULL
GROUP BY 1, 2, 3, 4
"""


def by_status() -> list[tuple[str, str, str, str, int]]:
    """(cluster, product, rung id, status, nodes) of the present nodes; one query. Nodes that were not judged are in no row."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL)
        return list(cursor.fetchall())
