"""Bytes in, prediction out: the models in memory, the queue before the cores, the one service.

It knows no HTTP, and imports no TensorFlow: an engine that needs that brings it.
"""
