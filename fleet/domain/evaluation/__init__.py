"""From one snapshot to one evaluation of each node.

In: a `ClusterSnapshot` and the `ClusterHistory` of its nodes. Out: a `ClusterEvaluation`: devices, findings, ladder, verdict.
The order of the steps is in `evaluate.py`.
"""
