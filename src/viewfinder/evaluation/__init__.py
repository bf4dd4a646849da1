"""How good a model is, and how sure: measured with the code that serves it.

It only judges answers; who is asked for them is decided in `pipelines/`.
"""
