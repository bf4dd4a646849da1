"""The versions in service, part by part: the store that is followed, the memory, who answers.

No request comes here: it asks `serving/manager.py`, which puts these parts together.
"""
