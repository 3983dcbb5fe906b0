"""History as arithmetic over periods: time per verdict, incidents, flaps, what changed alike, what a node looked like."""
