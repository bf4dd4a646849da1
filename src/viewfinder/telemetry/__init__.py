"""Metrics, logs and traces: what the service does, for those who run it.

It hears of what other rooms do, and decides none of it.
"""
