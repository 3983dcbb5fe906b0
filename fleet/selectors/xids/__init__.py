"""Xid errors and their bursts."""
