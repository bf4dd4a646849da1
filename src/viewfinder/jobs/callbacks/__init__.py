"""Callbacks to those who wait for a job: Standard Webhooks (https://www.standardwebhooks.com).

Signed, sent at least once with a stable id, and again with growing pauses for about three days.
"""
