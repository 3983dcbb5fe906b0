"""Topology: where nodes are in NVLink domains, racks, blocks and zones, and which nodes hold N GPUs in the right shape. Pure."""
