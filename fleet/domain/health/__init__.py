"""GPU health from telemetry and from outside monitors' conditions: rules that take a node and return findings."""
