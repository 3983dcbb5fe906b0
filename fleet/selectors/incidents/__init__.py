"""Incidents: findings that share a cause, who is affected, and previous changes."""
