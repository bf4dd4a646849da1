"""The commands that make models and measure them: `viewfinder train`, `evaluate` and `optimize`.

What they do, end to end, is in `pipelines/`; here it is asked for, and shown while it goes on.
"""
