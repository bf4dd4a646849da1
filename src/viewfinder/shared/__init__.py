"""What several rooms need: the way to a Redis, how to do without, and a few small tools.

It knows no photo and no model; what only one room needs stays in that room.
"""
