"""The audit log and its chain of digests."""
