"""The pattern page at /patterns/: every component in every state, with samples that are made up."""
