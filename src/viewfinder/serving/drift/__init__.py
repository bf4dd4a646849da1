"""Whether photos, and the answers to them, are still like those that a model was measured with.

It counts and compares; the references are made where models are measured, in `evaluation/`.
"""
