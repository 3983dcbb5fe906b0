"""The pattern page at /patterns/: every component in every state, with invented samples."""
