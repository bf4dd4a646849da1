"""The versions in service, part by part: the store that is followed, the memory, who answers.

Requests never come here: `serving/manager.py` is the one who puts the parts together.
"""
