"""From the bytes of a photo to the pixels that a model takes: one way, for training and serving.

It opens no file and no address, and knows of models only the geometry that they ask for.
"""
