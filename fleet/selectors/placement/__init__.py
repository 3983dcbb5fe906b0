"""Where pods fit: the stored fleet in the shape that placement, what-if and sizing take."""
