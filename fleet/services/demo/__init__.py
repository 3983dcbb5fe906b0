"""The demonstration of `manage.py run` without a cluster: people and definitions through services, and a simulated month."""
