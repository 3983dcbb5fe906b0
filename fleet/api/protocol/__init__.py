"""Shared by every resource: authentication, permissions, lists, pages, query parameters, formats and errors."""
