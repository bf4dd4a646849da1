"""The commands that ask the database: keys, jobs, their callbacks, and its own upkeep.

They need no server; one that runs follows what they change.
"""
