"""Dynamic Resource Allocation as the scheduler decides it: pools, counters, capacity, taints, selectors and the allocator.

Written from the enhancement proposals: structured parameters (KEP-4381), partitionable devices (KEP-4815), consumable capacity
(KEP-5075), device taints (KEP-5055), prioritised list (KEP-4816), admin access (KEP-5018), extended resources (KEP-5004) and
pool status (KEP-5677), and held against recorded answers of kube-scheduler 1.36.2.
"""
