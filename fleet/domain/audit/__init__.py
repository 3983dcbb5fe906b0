"""What an audit entry says in words: its sentence, and what changed."""
