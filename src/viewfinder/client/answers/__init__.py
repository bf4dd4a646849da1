"""What a server answers, as it is told in Python: frozen, typed, and tolerant.

What JSON calls `class` is `label` here, as in `viewfinder.types`.
"""
