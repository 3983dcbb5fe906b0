"""The past as it was recorded: nodes at a moment and over a window, availability, changes, figures of hours."""
