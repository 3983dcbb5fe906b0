"""What GPUs a node has, how they are partitioned and shared, and what of them it advertises. Entry: `inspection.inspect`.

In: `NodeInputs`: one node with its pods, device-plugin configuration, DRA devices and claims, and the GPUs that telemetry names.
Out: `NodeDevices`: physical and advertised GPUs, partitioning, sharing, slots, each with its evidence; None is unknown.
"""
