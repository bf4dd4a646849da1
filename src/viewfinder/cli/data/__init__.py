"""`viewfinder data`: labelled photos, before a model learns from them.

What is looked for is in `datasets/`; reviewed photos come out of the database of a server.
"""
