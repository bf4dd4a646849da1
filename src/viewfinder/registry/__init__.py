"""Models on disk: what a bundle is, how one is read and written, which ones there are.

No model is run here; whether one works is found out in `engines/`, before it is served.
"""
