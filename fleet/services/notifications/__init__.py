"""Turns events into notifications: grace and match decide what is sent, send delivers it, targets and guard protect it."""
