"""Labelled photos: where they are, their splits, their pixels, and what is wrong with them.

Nothing is learned here, and no file of the user is ever changed.
"""
