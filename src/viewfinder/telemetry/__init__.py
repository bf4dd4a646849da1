"""Metrics, logs and traces: what the service does, for those who run it."""
