"""The fleet's page: its map, the last hour, and the fleet at a past moment."""
