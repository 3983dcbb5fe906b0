"""What people who are limited to namespaces read of each table: the workloads in them, and the nodes under them as machines.

As scope_views.py, in a schema of its own. What names pods is closed unless it is written here. docs/adr/0032-limits.md says why.
"""

from __future__ import annotations

# Nodes of the clusters and pools that the limit names; of a limit to namespaces alone those that a pod of them is on.
SEEN_NODES = """
SELECT n.id, n.cluster_id, n.name, n.machine_type FROM {base}.fleet_node n
WHERE n.cluster_id = ANY {clusters} OR (n.cluster_id = ANY {within} AND n.id IN (
    SELECT m.node_id FROM {base}.fleet_poolmembership m JOIN {base}.fleet_node o ON o.id = m.node_id
    WHERE m.pool_id = ANY {pools} AND (upper_inf(m.period) OR (o.removed_at IS NOT NULL AND upper(m.period) >= o.removed_at))
)) OR ({by_pods} AND n.cluster_id = ANY {within} AND n.removed_at IS NULL AND n.id IN (
    SELECT p.node_id FROM {base}.fleet_pod p WHERE p.removed_at IS NULL
    AND (p.namespace = ANY {namespaces} OR p.cluster_id || '/' || p.namespace = ANY {namespaces})
))
"""
PARTS: dict[str, str] = {
    # Sources of evidence about the machine. Evidence of any other may name a pod, so a sentence with such evidence is hidden.
    "machine": "('{{dcgm,condition,event,label,annotation,taint,resource_slice,capacity,allocatable,node,managed_fields,"
    "threshold,policy,xid,config,exporter,expected,gpu,memory,previous,slots,pool,telemetry}}'::text[])",
    "about_pods": "(e ->> 'source' IS NULL OR e ->> 'source' <> ALL {machine})",
    "element_is": "EXISTS (SELECT FROM jsonb_array_elements(CASE jsonb_typeof(x -> 'evidence') WHEN 'array' THEN x -> 'evidence'"
    " ELSE '[]' END) e WHERE {about_pods})",
    "row_is": "EXISTS (SELECT FROM jsonb_array_elements(t.evidence) e WHERE {about_pods})",
    "own": "(t.namespace = ANY {namespaces} OR t.cluster_id || '/' || t.namespace = ANY {namespaces})",
    "place": "(SELECT o.cluster_id FROM {base}.fleet_node o WHERE o.id = t.node_id) || '/'",
    # Why a node is not ready, where that names no pod.
    "of_machine": "EXISTS (SELECT FROM jsonb_array_elements(t.rungs) x WHERE x ->> 'id' = t.broken_rung AND NOT {element_is})",
}
"""Parts of conditions; each may use those before it."""

ROWS: dict[str, str] = {
    "fleet_cluster": "t.id = ANY {clusters} OR t.id IN (SELECT cluster_id FROM {views}.seen_node)"
    " OR t.id IN (SELECT cluster_id FROM {views}.fleet_pod)",
    # Pods that wait have no node: they are seen where nodes are.
    "fleet_pod": "{own} AND CASE WHEN t.node_id IS NULL THEN ({by_pods} AND t.cluster_id = ANY {within})"
    " OR t.cluster_id = ANY {clusters} OR t.cluster_id IN (SELECT cluster_id FROM {views}.seen_node) ELSE {of_node} END",
    "fleet_modelserver": "{of_node} AND (t.namespace = ANY {namespaces} OR {place} || t.namespace = ANY {namespaces})",
    "fleet_finding": "{of_node} AND t.subject <> 'pod' AND NOT {row_is}",
    # Keys with a slash name a pod's owner.
    "fleet_silence": "((t.cluster_id IS NULL AND t.node_id IS NULL) OR {of_both}) AND strpos(t.key, '/') = 0",
    "fleet_accessrequest": "t.team_id IN {own_teams} AND t.namespace = ANY {namespace_names} AND t.class_version_id IN"
    " (SELECT v.id FROM {base}.fleet_classversion v WHERE v.workload_class_id IN (SELECT id FROM {views}.seen_class))",
    "fleet_collectionrun": "false",
    "fleet_complianceperiod": "false",
    "fleet_scheduling": "false",
    "fleet_keptforecast": "false",
    "fleet_notice": "false",
}
"""Table to the condition of the rows that are seen, where that differs from scope_views.ROWS."""

HIDDEN: dict[str, dict[str, str]] = {
    # No cluster is seen as a whole: what is counted or listed over its pods is left out.
    "fleet_cluster": {
        "node_count": "NULL::bigint",
        "error": "''::text",
        "pending_fingerprint": "''::varchar",
        "dra": "'{{}}'::jsonb",
        "incomplete_pools": "'[]'::jsonb",
        "readiness_rules": "'[]'::jsonb",
        "same_as_id": "NULL::bigint",
        "read_through": "''::text",
        "context_tries": "'{{}}'::jsonb",
        "events": "'[]'::jsonb",
        "sections": "'[]'::jsonb",
    },
    "fleet_node": {
        "reason": "CASE WHEN {row_is} THEN '' ELSE t.reason END",
        "verdict_reason": "CASE WHEN {of_machine} THEN t.verdict_reason ELSE '' END",
        "verdict_remedy": "CASE WHEN {of_machine} THEN t.verdict_remedy ELSE '' END",
        "rungs": "(SELECT coalesce(jsonb_agg(CASE WHEN {element_is} THEN"
        """ x || '{{"reason": "", "remedy": "", "evidence": []}}' ELSE x END ORDER BY number), '[]')"""
        " FROM jsonb_array_elements(t.rungs) WITH ORDINALITY AS listed(x, number))",
        "dra": "'{{}}'::jsonb",
        "device_findings": "(SELECT coalesce(jsonb_agg(x ORDER BY number), '[]')"
        " FROM jsonb_array_elements(t.device_findings) WITH ORDINALITY AS listed(x, number) WHERE NOT {element_is})",
        "evidence": "(SELECT coalesce(jsonb_agg(e ORDER BY number), '[]')"
        " FROM jsonb_array_elements(t.evidence) WITH ORDINALITY AS listed(e, number) WHERE NOT {about_pods})",
        # Left by the version before, and not read any more.
        "info": "'{{}}'::jsonb",
        "pending": "'{{}}'::jsonb",
        "pods_fingerprint": "''::varchar",
    },
    "fleet_finding": {
        "incident_id": "CASE WHEN t.incident_id IS NULL THEN NULL ELSE (SELECT o.id FROM {base}.fleet_finding o"
        " WHERE o.incident_id = t.incident_id AND o.node_id IN (SELECT id FROM {views}.seen_node) AND o.subject <> 'pod'"
        " AND NOT EXISTS (SELECT FROM jsonb_array_elements(o.evidence) e WHERE {about_pods})"
        " ORDER BY o.id <> t.incident_id, o.id LIMIT 1) END"
    },
    "fleet_verdictperiod": {"reason": "''::text", "remedy": "''::text"},
    "fleet_rungperiod": {
        "reason": "CASE WHEN {row_is} THEN '' ELSE t.reason END",
        "evidence": "CASE WHEN {row_is} THEN '[]' ELSE t.evidence END",
    },
    "fleet_devicetelemetry": {
        "sample": "CASE jsonb_typeof(t.sample -> 'pods') WHEN 'array' THEN jsonb_set(t.sample, '{{pods}}',"
        " (SELECT coalesce(jsonb_agg(x ORDER BY number), '[]') FROM jsonb_array_elements(t.sample -> 'pods')"
        " WITH ORDINALITY AS listed(x, number) WHERE x ->> 'namespace' = ANY {namespaces}"
        " OR {place} || (x ->> 'namespace') = ANY {namespaces})) ELSE t.sample END"
    },
    "fleet_xidburst": {
        "pods": "(SELECT coalesce(jsonb_agg(x ORDER BY number), '[]') FROM jsonb_array_elements_text(t.pods)"
        " WITH ORDINALITY AS listed(x, number) WHERE split_part(x, '/', 1) = ANY {namespaces}"
        " OR {place} || split_part(x, '/', 1) = ANY {namespaces})",
        "job": "CASE WHEN split_part(t.job, '/', 2) = ANY {namespaces}"
        " OR {place} || split_part(t.job, '/', 2) = ANY {namespaces} THEN t.job ELSE '' END",
    },
}
"""Table to column to what is read instead, in place of scope_views.HIDDEN of the tables that are named here."""
