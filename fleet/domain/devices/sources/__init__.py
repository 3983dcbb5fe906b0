"""Sources of facts about a node's GPUs, one file each: parsed here, evaluated elsewhere."""
