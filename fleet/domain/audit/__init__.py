"""Text of an audit entry: its sentence, and what changed."""
