"""Keras models learn here: the head on frozen features, then the upper blocks of the backbone."""
