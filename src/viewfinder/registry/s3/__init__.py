"""A model store on S3, and the copy of it on this machine, from which alone anything is served.

What it promises is `ModelStore` of `registry/store.py`; objects themselves are in `blobs/`.
"""
