"""From the bytes of a photo to the pixels that a model takes: one way, for training and serving."""
