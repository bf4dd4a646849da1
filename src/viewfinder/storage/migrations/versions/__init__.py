"""The steps, oldest first.

Each leaves the release before it at work (see docs/backup.md).
"""
