"""Middleware: processing of every request before a page, and of every answer after it."""
