"""Who says something about a node's GPUs, one file per source: read word for word here, judged elsewhere."""
