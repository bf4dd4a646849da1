"""Keras models to the graphs that engines run, quantisation included.

Graphs are only made here: `engines/` run them, and `optimization/` trains smaller ones.
"""
