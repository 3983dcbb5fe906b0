"""Incidents: findings that share a cause, as one row with the cause first. Pure: structs in, identities and moments out."""
