"""Signing in and out: passwords, second factor, single sign-on, and the life of a session."""
