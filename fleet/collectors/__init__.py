"""LOOKS. One cluster in, one ClusterSnapshot out, over HTTP; nothing is evaluated.

Each noun's file has `fetch()` (I/O) and `parse()` (pure); `run.py` isolates the failure of one section from the others.
"""
