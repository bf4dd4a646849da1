"""Keras models: backbones as data, the classifier around them, and their pretrained weights.

Nothing here is imported by a server; Keras and TensorFlow come with the extra `train`.
"""
