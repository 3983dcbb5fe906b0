"""Pools and classes as YAML documents: read with line and field of every mistake, written canonically, compared."""
