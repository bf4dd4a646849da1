"""Bytes in, prediction out: the models in memory, the queue before the cores, the one service."""
