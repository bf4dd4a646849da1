"""Who asks: keys, and the tokens of a provider.

What a caller may do is decided in `api/guards/`, and how much in `quota/`.
"""
