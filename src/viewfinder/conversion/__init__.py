"""Keras models to the graphs that engines run, quantisation included."""
