"""Queues in front of the scheduler (Kueue, Volcano, KAI): the place of a pod's workload, and which quota is short.

Pure functions over domain.snapshot.queues; nothing is asked of a cluster.
"""
