"""Fuzzes the API of a whole installation with schemathesis; `make schemathesis`."""
