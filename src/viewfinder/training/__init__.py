"""Keras models learn here: the head on frozen features, then the upper blocks of the backbone.

No server imports it; `pipelines/train.py` says from which photos, and what becomes of it.
"""
