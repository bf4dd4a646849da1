"""How much one caller may ask.

It counts, in memory or in Redis; `api/guards/` refuse.
"""
