"""The filters of kube-scheduler 1.36 over one cluster, in its order: which nodes take a pod, and each other node's reasons.

What is not modelled makes the answer unknown and is listed; docs/placement.md has the whole list.
"""
