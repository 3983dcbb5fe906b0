"""Muster itself: its metrics, alarms, invariants of its data, support bundle, and the demo."""
