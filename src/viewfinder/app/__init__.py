"""Puts the parts of a process together: this is the one room that knows them all.

Nothing is worked out here; what a part does is the business of its own room.
"""

from viewfinder.app.application import create_app

__all__ = ["create_app"]
