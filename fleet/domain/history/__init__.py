"""History computed from periods: time per verdict, incidents, flaps, similar changes, and past node states."""
