"""One graph of a version for somewhere else: alone, or with all that running it needs.

The store is only read; what makes other formats is in `conversion/`.
"""
